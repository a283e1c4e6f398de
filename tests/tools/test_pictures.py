"""Pictures of plans: what is drawn, whole where it is short, and that names cannot break out of it."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from atlas.plans import CONTINENT_PAGE
from loadplan import Explanation, LoadPlan, load
from loadplan.explained.boxes import COLOURS, MOST_COLUMNS

SVG = "{http://www.w3.org/2000/svg}"
EXPECTED = Path(__file__).parents[2] / "docs" / "continent-page.svg"


class Base(DeclarativeBase):
    """Two classes."""


class Node(Base):
    __tablename__ = "node"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("node.id"))
    children: Mapped[list["Node"]] = relationship()
    leaves: Mapped[list["Leaf"]] = relationship()


class Leaf(Base):
    __tablename__ = "leaf"
    id: Mapped[int] = mapped_column(primary_key=True)
    node_id: Mapped[int] = mapped_column(ForeignKey("node.id"))
    colour: Mapped[str]


def named(name: str) -> Explanation:
    return LoadPlan(Node, load(Node.leaves, only=[Leaf.id], strategy="selectin"), name=name).explain("postgresql")


def test_mermaid_whole() -> None:
    assert named("node page").to_mermaid() == (
        "flowchart LR\n"
        '    n1["<b>Node</b>"]:::statement1\n'
        '    n2["<b>Leaf</b><br/>id<br/>node_id"]:::statement2\n'
        '    n1 -->|"leaves<br/>one-to-many<br/>select-in, 2"| n2\n'
        "    linkStyle 0 stroke:#b45309,stroke-width:2px\n"
        '    legend["<b>node page</b><br/>Node, 2 statements #40;2, however many rows#41;<br/>1: Node<br/>'
        '2: Node.leaves"]\n'
        "    n1 ~~~ legend\n"
        "    style legend fill:transparent,stroke:#88888888,text-align:left\n"
        "    classDef statement1 fill:transparent,stroke:#2563c9,stroke-width:2px\n"
        "    classDef statement2 fill:transparent,stroke:#b45309,stroke-width:2px\n"
    )


def test_svg_whole() -> None:
    """The picture that docs/tools.md shows."""
    assert CONTINENT_PAGE.explain("postgresql").to_svg() == EXPECTED.read_text("utf-8")


HOSTILE = '<script>alert("1")</script> & \x00\x1b\ud800 "]:::x end; %% {{x}} `a` #35; 名前\n\nnew line'


def test_names_cannot_break_a_picture() -> None:
    """Well-formed XML without a script; a Mermaid label without a mark that ends it."""
    svg = named(HOSTILE).to_svg()
    root = ET.fromstring(svg)  # noqa: S314 - ours
    assert {each.tag for each in root.iter()} == {
        f"{SVG}{tag}" for tag in ("svg", "style", "rect", "text", "path", "g", "title")
    }
    assert svg.encode("utf-8")
    titles = [each.text for each in root.iter(f"{SVG}text") if each.get("class") == "title"]
    assert titles == ['<script>alert("1")</script> & \ufffd\ufffd\ufffd "]:::x end; %% {{x}} `a` #35; 名前 new line']
    (line,) = [line for line in named(HOSTILE).to_mermaid().splitlines() if line.startswith("    legend[")]
    inside = line.removeprefix('    legend["<b>').removesuffix('"]').replace("<br/>", "").replace("</b>", "")
    assert not set('"<>&`[]{}|\\()') & set(inside)
    assert "名前 new line" in inside


def rows(svg: str) -> list[tuple[float, float, float, float]]:
    """Left, top, right, bottom of each box."""
    boxes = [each.attrib for each in ET.fromstring(svg).iter(f"{SVG}rect") if each.get("class", "").startswith("box")]  # noqa: S314
    placed = [[float(each[name]) for name in ("x", "y", "width", "height")] for each in boxes]
    return [(x, y, x + width, y + height) for x, y, width, height in placed]


def deep_and_wide(depth: int) -> LoadPlan[Node]:
    """Each level leads on, and to two leaves of which one lists its columns."""
    below = load(Node.children)
    for _ in range(depth):
        below = load(Node.children, load(Node.leaves, only=[Leaf.id], strategy="selectin"), below)
    return LoadPlan(Node, load(Node.leaves, strategy="selectin"), below)


@pytest.mark.parametrize("depth", [0, 1, 3, 8])
def test_boxes_do_not_touch_and_stay_inside(depth: int) -> None:
    """Trees of any depth, with more statements than colours."""
    explanation = deep_and_wide(depth).explain("postgresql")
    svg = explanation.to_svg()
    placed = rows(svg)
    assert len(placed) == 3 + 2 * depth
    _, _, width, height = map(float, ET.fromstring(svg).attrib["viewBox"].split())  # noqa: S314
    for index, (left, top, right, bottom) in enumerate(placed):
        assert 0 < left < right < width
        assert 0 < top < bottom < height
        for other in placed[index + 1 :]:
            assert right < other[0] or other[2] < left or bottom < other[1] or other[3] < top
    numbers = [each.text for each in ET.fromstring(svg).iter(f"{SVG}text") if each.get("class") == "number"]  # noqa: S314
    assert set(numbers) == {str(number + 1) for number in range(explanation.statements)}
    assert (explanation.statements > len(COLOURS)) == (depth >= 3)


def test_a_plan_without_edges() -> None:
    """One box and a legend of one."""
    explanation = LoadPlan(Leaf).explain("sqlite")
    assert len(rows(explanation.to_svg())) == 1
    assert "~~~" not in explanation.to_mermaid()


def test_many_columns_are_cut_short() -> None:
    """A box lists so many lines at most, and says how many columns more there are."""
    columns = {f"column_{number:02}": mapped_column(default=0) for number in range(30)}
    annotations = dict.fromkeys(columns, Mapped[int])
    wide = type(
        "Wide",
        (Base,),
        {
            "__tablename__": "wide",
            "__annotations__": {"id": Mapped[int], **annotations},
            "id": mapped_column(primary_key=True),
            **columns,
        },
    )
    only = [getattr(wide, f"column_{number:02}") for number in range(29)]
    (box,) = [line for line in LoadPlan(wide, only=only).explain("sqlite").to_mermaid().splitlines() if "n1[" in line]
    assert box.count("<br/>") == MOST_COLUMNS
    assert box.endswith('column_10<br/>and 19 more"]:::statement1')
