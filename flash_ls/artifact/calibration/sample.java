package org.example.ledger;

import java.io.IOException;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.sql.DataSource;

/**
 * Keeps account balances and moves money between them.
 *
 * <p>All amounts are stored with two decimals; rounding is half-even.
 */
public class LedgerService {

    private static final Pattern CSV_ROW =
            Pattern.compile("^\\s*(\\w{4,12});(-?\\d+(?:\\.\\d{1,2})?);([A-Z]{3})\\s*$");
    private static final String HISTORY_SQL = """
            SELECT id, amount, created_at
            FROM ledger_entry
            WHERE account_id = ? AND created_at >= ?
            ORDER BY created_at DESC
            """;

    public enum AccountType { CHECKING, SAVINGS, CREDIT }

    public record Money(BigDecimal amount, String currency) {
        public Money {
            amount = amount.setScale(2, RoundingMode.HALF_EVEN);
        }

        public Money plus(Money other) {
            if (!currency.equals(other.currency)) {
                throw new IllegalArgumentException(
                        String.format("Cannot add %s to %s", other.currency, currency));
            }
            return new Money(amount.add(other.amount), currency);
        }

        public Money negate() {
            return new Money(amount.negate(), currency);
        }
    }

    public record Entry(long id, BigDecimal amount, Instant createdAt) {}

    public static final class InsufficientFundsException extends RuntimeException {
        public InsufficientFundsException(String accountId, Money missing) {
            super("Account " + accountId + " is short of " + missing.amount());
        }
    }

    private static class Account {
        final String id;
        final AccountType type;
        private Money balance;

        Account(String id, AccountType type, Money balance) {
            this.id = id;
            this.type = type;
            this.balance = balance;
        }

        synchronized void apply(Money delta) {
            Money next = balance.plus(delta);
            if (next.amount().signum() < 0 && type != AccountType.CREDIT) {
                throw new InsufficientFundsException(id, next.negate());
            }
            balance = next;
        }
    }

    private final Map<String, Account> accounts = new ConcurrentHashMap<>();
    private final DataSource dataSource;

    public LedgerService(DataSource dataSource) {
        this.dataSource = dataSource;
    }

    public void open(String id, AccountType type, Money initial) {
        if (accounts.putIfAbsent(id, new Account(id, type, initial)) != null) {
            throw new IllegalStateException("Account already exists: " + id);
        }
    }

    /** Withdraws first; if the deposit then fails, the withdrawal is undone. */
    public void transfer(String from, String to, Money amount) {
        Account source = require(from);
        Account target = require(to);
        source.apply(amount.negate());
        try {
            target.apply(amount);
        } catch (RuntimeException e) {
            source.apply(amount);
            throw e;
        }
    }

    private Account require(String id) {
        return Optional.ofNullable(accounts.get(id))
                .orElseThrow(() -> new IllegalArgumentException("No such account: " + id));
    }

    /** Imports opening balances from lines such as {@code SHOP01;250.75;EUR}. */
    public int importBalances(Path file) throws IOException {
        int imported = 0;
        for (String line : Files.readAllLines(file)) {
            Matcher m = CSV_ROW.matcher(line);
            if (!m.matches()) {
                continue;
            }
            Money initial = new Money(new BigDecimal(m.group(2)), m.group(3));
            open(m.group(1), AccountType.CHECKING, initial);
            imported++;
        }
        return imported;
    }

    public CompletableFuture<List<Entry>> history(String accountId, Instant since) {
        return CompletableFuture.supplyAsync(() -> {
            List<Entry> entries = new ArrayList<>();
            try (Connection connection = dataSource.getConnection();
                    PreparedStatement stmt = connection.prepareStatement(HISTORY_SQL)) {
                stmt.setString(1, accountId);
                stmt.setObject(2, since);
                try (ResultSet rs = stmt.executeQuery()) {
                    while (rs.next()) {
                        entries.add(new Entry(rs.getLong("id"),
                                rs.getBigDecimal("amount"), rs.getTimestamp("created_at").toInstant()));
                    }
                }
            } catch (SQLException e) {
                throw new IllegalStateException("History query failed", e);
            }
            return entries;
        });
    }

    static <T, K> Map<K, List<T>> groupBy(List<T> items, Function<? super T, ? extends K> key) {
        return items.stream().collect(Collectors.groupingBy(key));
    }
}
