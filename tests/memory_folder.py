"""A project in memory, through the interface of the real one."""

from flash_ls.index import Index


class Folder:
    """Files under /shop (`flash_ls.context.Files`), and their index."""

    name = "shop"

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files
        self.index = Index()
        self.index.add(files.items())

    def title(self, path: str) -> str:
        return path.removeprefix("/shop/")

    def read(self, path: str) -> str | None:
        return self.files.get(path)
