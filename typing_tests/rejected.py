"""Lines that a type checker must reject: an ignore that nothing needs is an error, under mypy and pyright."""

from plans import AUTHOR, POST_CARD, USER_PAGE, Post, PostCard, Profile, User, UserPage

from loadplan import Loader, LoadPlan, count, exists, load

PROFILE = LoadPlan(Profile)

load(User.name)  # type: ignore  # pyright: ignore
load(User.id)  # type: ignore  # pyright: ignore
load(User)  # type: ignore  # pyright: ignore
load(User.posts, AUTHOR)  # type: ignore  # pyright: ignore
load(Post.author, PROFILE)  # type: ignore  # pyright: ignore
load(User.posts, strategy="lazy")  # type: ignore  # pyright: ignore
LoadPlan(User, PROFILE)  # type: ignore  # pyright: ignore
LoadPlan(User, User.posts)  # type: ignore  # pyright: ignore
LoadPlan(User, only=User.id)  # type: ignore  # pyright: ignore
LoadPlan(User).loads = ()  # type: ignore  # pyright: ignore
LoadPlan(Post, into=PostCard(1))  # type: ignore  # pyright: ignore
LoadPlan(Post, into="PostCard")  # type: ignore  # pyright: ignore
LoadPlan(Post, into=PostCard, only=[Post.id])  # type: ignore  # pyright: ignore
LoadPlan(into=PostCard)  # type: ignore  # pyright: ignore
LoadPlan(Post, load(User.name))  # type: ignore  # pyright: ignore
LoadPlan(Post, load(Post.author, LoadPlan(Profile)))  # type: ignore  # pyright: ignore
LoadPlan(Post, load(Post.author, load(User.posts, load(Post.title))))  # type: ignore  # pyright: ignore
LoadPlan(User, only=[1])  # type: ignore  # pyright: ignore
load(User.posts, only=["title"])  # type: ignore  # pyright: ignore
load(User.posts, where=True)  # type: ignore  # pyright: ignore
load(User.posts, order_by="title")  # type: ignore  # pyright: ignore
LoadPlan(User, typed=UserPage, only=["name"])  # type: ignore  # pyright: ignore
LoadPlan(User, typed="UserPage")  # type: ignore  # pyright: ignore
LoadPlan(User, typed=UserPage, into=PostCard)  # type: ignore  # pyright: ignore
POST_CARD.into = None  # type: ignore  # pyright: ignore
count("Post.comments")  # type: ignore  # pyright: ignore
exists()  # type: ignore  # pyright: ignore
load(User.posts, int=PostCard)  # type: ignore  # pyright: ignore


async def wrong(loader: Loader) -> None:
    await loader.extend(1, posts=True)  # type: ignore  # pyright: ignore
    user = await loader.fetch(LoadPlan(User), 1)
    await loader.extend(user, only=["name"])  # type: ignore  # pyright: ignore
    await loader.extend([user], only=["name"])  # type: ignore  # pyright: ignore
    name: str = await loader.fetch(AUTHOR, 1)  # type: ignore  # pyright: ignore
    card: Post = await loader.fetch(POST_CARD, 1)  # type: ignore  # pyright: ignore
    await loader.fetch(User, 1)  # type: ignore  # pyright: ignore
    page = await loader.fetch(USER_PAGE, 1)
    print(page.profile)  # type: ignore  # pyright: ignore
    print(page.posts[0].author)  # type: ignore  # pyright: ignore
    page.name = "x"  # type: ignore  # pyright: ignore
    print(name, card)
