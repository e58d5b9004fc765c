"""A small stock ledger with a hole, to try things on."""

from dataclasses import dataclass, field


@dataclass
class Item:
    """One kind of thing on a shelf."""

    name: str
    price: float
    quantity: int = 0

    def total(self) -> float:
        return self.price * self.quantity


@dataclass
class Inventory:
    """Everything in one warehouse."""

    items: dict[str, Item] = field(default_factory=dict)

    def add(self, item: Item) -> None:
        if item.name in self.items:
            raise ValueError(f"{item.name} is already here")
        self.items[item.name] = item

    def remove(self, name: str) -> Item:
        <FILL>

    def find(self, name: str) -> Item | None:
        return self.items.get(name)

    def total(self) -> float:
        return sum(item.total() for item in self.items.values())
