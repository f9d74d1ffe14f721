"""A toy bank, unfinished on purpose: `scripts/demo` lets the model complete it."""

from dataclasses import dataclass, field


class InsufficientFunds(Exception):
    """Raised when a withdrawal exceeds the balance."""


@dataclass
class Account:
    owner: str
    balance: int = 0
    history: list[str] = field(default_factory=list)

    def deposit(self, amount: int) -> None:
        """Add `amount` to the balance and remember it in the history."""
        if amount <= 0:
            raise ValueError("the amount must be positive")
        self.balance += amount
        self.history.append(f"deposit {amount}")

    def withdraw(self, amount: int) -> None:
        """Take `amount` from the balance and remember it in the history."""
        

    def transfer(self, other: "Account", amount: int) -> None:
        """Move `amount` from this account to another one."""
        self.withdraw(amount)
        other.de
