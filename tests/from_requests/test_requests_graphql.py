"""GraphQL selections become plans: graphql-core's executor, Strawberry and Ariadne over HTTP."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import strawberry
from ariadne import ObjectType, QueryType, make_executable_schema
from ariadne.asgi import GraphQL
from fastapi import FastAPI
from graphql import GraphQLSchema, build_schema, graphql
from requests_models import Comment, Post, User
from sqlalchemy.ext.asyncio import AsyncEngine
from strawberry.fastapi import GraphQLRouter
from strawberry.types.nodes import SelectedField

from loadplan import Loader, LoadPlan, load
from loadplan.graphql import selected_plan
from loadplan.resolved.narrowing import _narrowed_plan
from support import Statements, in_one, recording

API = LoadPlan(
    User,
    load(
        User.posts,
        load(Post.comments, load(Comment.author, defer=[User.secret]), order_by=Comment.id, limit=4),
        where=Post.published,
        defer=[Post.body],
    ),
    defer=[User.secret],
    name="api",
)
READS = {"User.fullName": ["first_name", "last_name"], "User.initial": ["first_name"], "User.hello": []}

SDL = """
type Query { user(id: Int!): User }
interface Person { firstName: String! }
type User implements Person {
  id: Int!  firstName: String!  lastName: String!  secret: String!  fullName: String!  hello: String!  posts: [Post!]!
}
type Post { id: Int!  title: String!  body: String!  comments(first: Int, after: String): CommentConnection! }
type CommentConnection { edges: [CommentEdge!]!  nodes: [Comment!]!  pageInfo: PageInfo!  totalCount: Int }
type CommentEdge { node: Comment!  cursor: String! }
type PageInfo { hasNextPage: Boolean! }
type Comment { id: Int!  text: String!  author: User! }
"""

Ask = Callable[..., Awaitable[dict[str, Any]]]


def connection(comments: list[Comment], first: int | None) -> dict[str, Any]:
    rows = comments[:first]
    page = {"hasNextPage": len(comments) > len(rows), "has_next_page": len(comments) > len(rows)}
    return {
        "edges": [{"node": each, "cursor": str(each.id)} for each in rows],
        "nodes": rows,
        "pageInfo": page,
        "page_info": page,  # Ariadne converts the names of fields
    }


def snake(obj: Any, info: Any, **_: Any) -> Any:
    name = re.sub("([A-Z])", r"_\1", info.field_name).lower()
    return obj[info.field_name] if isinstance(obj, dict) else getattr(obj, name)


def schema_by_hand(engine: AsyncEngine) -> GraphQLSchema:
    schema = build_schema(SDL)

    async def user(_root: Any, info: Any, id: int) -> User:  # noqa: A002
        return await Loader(engine).fetch(selected_plan(info, API, reads=READS), id)

    schema.query_type.fields["user"].resolve = user
    fields = schema.type_map["User"].fields
    fields["fullName"].resolve = lambda obj, _info: f"{obj.first_name} {obj.last_name}"
    fields["hello"].resolve = lambda _obj, _info: "hello"
    schema.type_map["Post"].fields["comments"].resolve = lambda obj, _info, first=None: connection(obj.comments, first)
    return schema


@pytest.fixture
def core(asked: AsyncEngine) -> Ask:
    """graphql-core's own executor."""
    schema = schema_by_hand(asked)

    async def ask(query: str, **variables: Any) -> dict[str, Any]:
        result = await graphql(schema, query, field_resolver=snake, variable_values=variables)
        return result.formatted

    return ask


@pytest.fixture
def ariadne(asked: AsyncEngine) -> Ask:
    """Ariadne behind ASGI."""
    query, user_type, post_type = QueryType(), ObjectType("User"), ObjectType("Post")

    @query.field("user")
    async def user(_root: Any, info: Any, id: int) -> User:  # noqa: A002
        return await Loader(asked).fetch(selected_plan(info, API, reads=READS), id)

    @user_type.field("fullName")
    def full_name(obj: User, _info: Any) -> str:
        return f"{obj.first_name} {obj.last_name}"

    @user_type.field("hello")
    def hello(_obj: User, _info: Any) -> str:
        return "hello"

    @post_type.field("comments")
    def comments(obj: Post, _info: Any, first: int | None = None, after: str | None = None) -> dict[str, Any]:
        return connection(obj.comments, first)

    schema = make_executable_schema(SDL, query, user_type, post_type, convert_names_case=True)
    return over_http(GraphQL(schema), "/")


@strawberry.type(name="Comment")
class CommentType:
    id: int
    text: str
    author: "UserType"


@strawberry.type(name="PageInfo")
class PageInfoType:
    has_next_page: bool


@strawberry.type
class CommentEdge:
    node: CommentType
    cursor: str


@strawberry.type
class CommentConnection:
    edges: list[CommentEdge]
    nodes: list[CommentType]
    page_info: PageInfoType


@strawberry.type(name="Post")
class PostType:
    id: int
    title: str
    body: str

    @strawberry.field
    def comments(self, first: int | None = None, after: str | None = None) -> CommentConnection:
        """The object is the entity: Strawberry asks it for its attributes."""
        rows: Any = self.comments[:first]  # type: ignore[index]
        page = PageInfoType(has_next_page=len(self.comments) > len(rows))  # type: ignore[arg-type]
        edges = [CommentEdge(node=each, cursor=str(each.id)) for each in rows]
        return CommentConnection(edges=edges, nodes=rows, page_info=page)


@strawberry.interface(name="Person")
class PersonType:
    first_name: str


@strawberry.type(name="User")
class UserType(PersonType):
    id: int
    last_name: str
    secret: str
    posts: list[PostType]

    @classmethod
    def is_type_of(cls, obj: Any, _info: Any) -> bool:
        return isinstance(obj, User)

    @strawberry.field
    def full_name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @strawberry.field
    def hello(self) -> str:
        return "hello"


@pytest.fixture
def strawberries(asked: AsyncEngine) -> Ask:
    """Strawberry behind FastAPI."""

    @strawberry.type
    class Query:
        @strawberry.field
        async def user(self, info: strawberry.Info, id: int) -> UserType | None:  # noqa: A002
            assert isinstance(info.selected_fields[0], SelectedField)
            return await Loader(asked).fetch(selected_plan(info, API, reads=READS), id)  # type: ignore[return-value]

    app = FastAPI()
    app.include_router(GraphQLRouter(strawberry.Schema(Query)), prefix="/graphql")
    return over_http(app, "/graphql")


def over_http(app: Any, path: str) -> Ask:
    async def ask(query: str, **variables: Any) -> dict[str, Any]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            answer = await client.post(path, json={"query": query, "variables": variables})
            found: dict[str, Any] = answer.json()
            return found

    return ask


@pytest.fixture(params=["core", "ariadne", "strawberries"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Each server in turn."""
    found: Ask = request.getfixturevalue(request.param)
    return found


async def asking(engine: AsyncEngine, ask: Ask, query: str, **variables: Any) -> tuple[Any, Statements]:
    with recording(engine) as statements:
        answer = await ask(query, **variables)
    assert "errors" not in answer, answer
    return answer["data"], statements


async def test_a_selection_is_a_plan(asked: AsyncEngine, ask: Ask) -> None:
    data, statements = await asking(asked, ask, "{ user(id: 1) { first: firstName posts { title } } }")
    assert data == {"user": {"first": "Ada", "posts": [{"title": "post 11"}, {"title": "post 12"}]}}
    assert len(statements.selects) == in_one(asked, 2)
    assert "last_name" not in str(statements)
    assert "body" not in str(statements)


async def test_fragments_aliases_and_directives(asked: AsyncEngine, ask: Ask) -> None:
    query = """
    query ($more: Boolean!, $less: Boolean!) {
      user(id: 1) {
        __typename
        ...names
        ... on Person { given: firstName }
        ... @include(if: $more) { posts { id } }
        entries: posts @skip(if: $less) { ...entry }
      }
    }
    fragment names on User { lastName @include(if: $more) }
    fragment entry on Post { title ...again }
    fragment again on Post { id }
    """
    data, statements = await asking(asked, ask, query, more=False, less=True)
    assert data == {"user": {"__typename": "User", "given": "Ada"}}
    assert len(statements.selects) == 1
    assert "last_name" not in str(statements)
    data, statements = await asking(asked, ask, query, more=True, less=False)
    assert data["user"]["lastName"] == "Byron"
    assert data["user"]["entries"][1] == {"title": "post 12", "id": 12}
    assert data["user"]["posts"] == [{"id": 11}, {"id": 12}]
    assert len(statements.selects) == in_one(asked, 2)


async def test_connections_stand_for_their_rows(asked: AsyncEngine, ask: Ask) -> None:
    query = """
    query ($first: Int) {
      user(id: 1) { posts {
        comments(first: $first) {
          edges { cursor node { id text author { lastName } } }
          pageInfo { hasNextPage }
        }
        one: comments(first: 1) { nodes { id } }
      } }
    }
    """
    data, statements = await asking(asked, ask, query, first=2)
    comments = data["user"]["posts"][0]["comments"]["edges"]
    assert [each["node"]["id"] for each in comments] == [21, 22]
    assert comments[0]["node"]["author"] == {"lastName": "Ross"}
    assert data["user"]["posts"][0]["one"] == {"nodes": [{"id": 21}]}
    assert len(statements.selects) == 3
    for first, count in ((100, 4), (None, 4)):  # the plan's limit
        data, _ = await asking(asked, ask, query, first=first)
        assert len(data["user"]["posts"][0]["comments"]["edges"]) == count


async def test_resolvers_that_read_other_attributes(asked: AsyncEngine, ask: Ask) -> None:
    data, statements = await asking(asked, ask, "{ user(id: 1) { fullName hello } }")
    assert data == {"user": {"fullName": "Ada Byron", "hello": "hello"}}
    assert len(statements.selects) == 1


@pytest.mark.parametrize(
    ("selection", "text"),
    [
        ("secret", "'secret' is not allowed by plan 'api'"),
        ("posts { body }", "'body' is not allowed by plan 'api'"),
        ('posts { comments(after: "x") { nodes { id } } }', "'Post.comments' is given 'after'"),
    ],
)
async def test_what_the_plan_does_not_allow(asked: AsyncEngine, ask: Ask, selection: str, text: str) -> None:
    with recording(asked) as statements:
        answer = await ask(f"{{ user(id: 1) {{ {selection} }} }}")
    assert text in answer["errors"][0]["message"]
    assert statements == []


async def test_equal_selections_share_one_plan(asked: AsyncEngine, ask: Ask) -> None:
    _narrowed_plan.cache_clear()
    for query in (
        "{ user(id: 1) { firstName lastName } }",
        "{ user(id: 2) { b: lastName ... on User { firstName } } }",
    ):
        await asking(asked, ask, query)
    assert _narrowed_plan.cache_info().misses == 1


async def test_fragments_that_double_are_walked_once(asked: AsyncEngine, core: Ask) -> None:
    """Thirty fragments that each spread the next one twice would be a billion fields."""
    fragments = " ".join(f"fragment f{n} on User {{ ...f{n + 1} ... on User {{ ...f{n + 1} }} }}" for n in range(30))
    data, _ = await asking(asked, core, f"{{ user(id: 1) {{ ...f0 }} }} {fragments} fragment f30 on User {{ id }}")
    assert data == {"user": {"id": 1}}


async def test_deep_queries_are_refused(asked: AsyncEngine, core: Ask) -> None:
    query = "{ author " * 40 + "{ id }" + " }" * 40
    answer = await core(f"{{ user(id: 1) {{ posts {{ comments {{ nodes {query} }} }} }} }}")
    assert "errors" in answer
