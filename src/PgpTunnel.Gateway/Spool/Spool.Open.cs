using System.Globalization;
using Microsoft.Data.Sqlite;

namespace PgpTunnel;

internal sealed partial class Spool
{
    private const int CheckedPages = 32 * 1024;

    /// <summary>What each version of the schema adds; a spool is brought up from the one it was written with.</summary>
    private static readonly string[] Schema =
    [
        """
            CREATE TABLE parcel(id TEXT PRIMARY KEY, route INTEGER NOT NULL, form INTEGER NOT NULL, domain TEXT NOT NULL,
                token TEXT NOT NULL, state INTEGER NOT NULL,
                created INTEGER NOT NULL, expires INTEGER NOT NULL, next INTEGER NOT NULL, attempts INTEGER NOT NULL,
                    done TEXT NOT NULL, status TEXT NOT NULL,
                must_seal INTEGER NOT NULL, may_clear INTEGER NOT NULL, exempt INTEGER NOT NULL, delayed INTEGER NOT NULL,
                    key_fingerprint TEXT NOT NULL,
                body BLOB NOT NULL, key BLOB NOT NULL, envelope BLOB NOT NULL, envelope_key BLOB NOT NULL) STRICT;
            CREATE INDEX parcel_due ON parcel(state, route, domain, next);
            CREATE INDEX parcel_token ON parcel(token) WHERE token <> '';
            CREATE TABLE replay(sender TEXT NOT NULL, id TEXT NOT NULL, hash BLOB NOT NULL, expires INTEGER NOT NULL,
                PRIMARY KEY(sender, id)) STRICT, WITHOUT ROWID;
            CREATE INDEX replay_expires ON replay(expires);
            CREATE TABLE peer(domain TEXT PRIMARY KEY, fingerprints TEXT NOT NULL, enforce_until INTEGER NOT NULL,
                verified TEXT NOT NULL, distrusted TEXT NOT NULL,
                contrary_since INTEGER, contrary_last INTEGER, contrary_apart INTEGER NOT NULL, override_action TEXT,
                    override_until INTEGER, override_reason TEXT, alarmed INTEGER) STRICT;
            CREATE TABLE gateway(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
            """,
        """
            ALTER TABLE peer ADD COLUMN alarm TEXT;
            CREATE TABLE certificate(domain TEXT NOT NULL, fingerprint TEXT NOT NULL, octets BLOB NOT NULL, PRIMARY KEY(domain,
                fingerprint)) STRICT, WITHOUT ROWID;
            """,
        """
            ALTER TABLE parcel ADD COLUMN octets INTEGER NOT NULL DEFAULT 0;
            UPDATE parcel SET octets = length(body);
            """,
        "ALTER TABLE parcel DROP COLUMN envelope_key;",
        """
            ALTER TABLE parcel ADD COLUMN file TEXT NOT NULL DEFAULT '';
            CREATE INDEX parcel_file ON parcel(file, octets) WHERE file <> '';
            """,
        """
            ALTER TABLE peer ADD COLUMN signed INTEGER;
            ALTER TABLE peer ADD COLUMN signed_path TEXT NOT NULL DEFAULT '';
            ALTER TABLE peer ADD COLUMN contrary_signed INTEGER;
            ALTER TABLE peer ADD COLUMN sealed INTEGER;
            INSERT OR REPLACE INTO gateway(name, value) VALUES('signed-since', strftime('%s', 'now'));
            ALTER TABLE certificate ADD COLUMN listed INTEGER NOT NULL DEFAULT 0;
            UPDATE certificate SET listed = CAST(strftime('%s', 'now') AS INTEGER);
            ALTER TABLE parcel ADD COLUMN notice INTEGER NOT NULL DEFAULT 0;
            ALTER TABLE parcel ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
            ALTER TABLE parcel ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;
            ALTER TABLE parcel ADD COLUMN refused_since INTEGER;
            """,
        "ALTER TABLE parcel ADD COLUMN server TEXT NOT NULL DEFAULT '';",
        """
            CREATE TABLE act(number INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,
                subject TEXT NOT NULL, reason TEXT NOT NULL) STRICT;
            """,
        """
            ALTER TABLE parcel ADD COLUMN own TEXT NOT NULL DEFAULT '';
            ALTER TABLE parcel ADD COLUMN lit BLOB NOT NULL DEFAULT x'';
            CREATE TABLE log(number INTEGER PRIMARY KEY, own TEXT NOT NULL, peer TEXT NOT NULL, id TEXT NOT NULL, closed INTEGER NOT NULL,
                size INTEGER NOT NULL, edge BLOB NOT NULL, at INTEGER NOT NULL) STRICT;
            CREATE UNIQUE INDEX log_open ON log(own, peer) WHERE closed = 0;
            CREATE TABLE record(place INTEGER PRIMARY KEY, octets BLOB NOT NULL, seal INTEGER, opening BLOB) STRICT;
            CREATE TABLE tag(place INTEGER PRIMARY KEY, tags BLOB NOT NULL) STRICT;
            CREATE TABLE block(place INTEGER PRIMARY KEY, root BLOB NOT NULL) STRICT;
            CREATE TABLE blob(sha256 BLOB PRIMARY KEY, octets BLOB NOT NULL) STRICT;
            CREATE TABLE seal(number INTEGER PRIMARY KEY, month TEXT NOT NULL, wrapped BLOB NOT NULL) STRICT;
            """,
        """
            ALTER TABLE peer ADD COLUMN receipts_until INTEGER NOT NULL DEFAULT 0;
            ALTER TABLE parcel ADD COLUMN receipt INTEGER NOT NULL DEFAULT 0;
            ALTER TABLE parcel ADD COLUMN overdue INTEGER;
            CREATE INDEX parcel_overdue ON parcel(overdue) WHERE overdue IS NOT NULL;
            ALTER TABLE log ADD COLUMN mirror INTEGER NOT NULL DEFAULT 0;
            ALTER TABLE log ADD COLUMN first INTEGER NOT NULL DEFAULT 0;
            ALTER TABLE log ADD COLUMN start BLOB NOT NULL DEFAULT x'';
            CREATE TABLE found(place INTEGER PRIMARY KEY, octets BLOB NOT NULL) STRICT;
            CREATE INDEX log_mirror ON log(own, peer) WHERE mirror = 1;
            CREATE TABLE receipt(own TEXT NOT NULL, peer TEXT NOT NULL, due INTEGER, log INTEGER NOT NULL, sent INTEGER NOT NULL,
                acked INTEGER NOT NULL, at INTEGER NOT NULL, parcel TEXT NOT NULL, PRIMARY KEY(own, peer)) STRICT, WITHOUT ROWID;
            CREATE INDEX receipt_due ON receipt(due) WHERE due IS NOT NULL;
            CREATE TABLE head(own TEXT NOT NULL, peer TEXT NOT NULL, id TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL,
                signature BLOB NOT NULL, cert TEXT NOT NULL, dns TEXT NOT NULL, at INTEGER NOT NULL,
                PRIMARY KEY(own, peer, id, size, root)) STRICT, WITHOUT ROWID;
            """,
        // A body is written once and then let go: a change to its parcel does not write it again. What lies in the row itself is of a
        // former version, or was read in from one that was damaged.
        """
            CREATE TABLE body(number INTEGER PRIMARY KEY, octets BLOB NOT NULL) STRICT;
            ALTER TABLE parcel ADD COLUMN stored INTEGER;
            CREATE TRIGGER parcel_gone AFTER DELETE ON parcel WHEN old.stored IS NOT NULL
                BEGIN DELETE FROM body WHERE number = old.stored; END;
            CREATE TRIGGER parcel_emptied AFTER UPDATE OF stored ON parcel WHEN old.stored IS NOT NULL
                BEGIN DELETE FROM body WHERE number = old.stored; END;
            """,
    ];

    /// <summary>Opens or creates the database, mode 0600.</summary>
    /// <param name="running">This is the gateway itself, of which a spool has one.</param>
    /// <exception cref="SpoolException">It cannot be opened, is not ours, or is damaged; the message says what to do.</exception>
    public static Spool Open(string file, bool running)
    {
        FileStream? only = null;
        try
        {
            if (running)
                only = SpoolLock.Take(file);
            var directory = Path.GetDirectoryName(Path.GetFullPath(file))!;
            if (!File.Exists(file))
            {
                OwnFiles.Write(file, []);
                OwnFiles.KeepOwner(file, directory);
            }
            var connectionString = new SqliteConnectionStringBuilder
            {
                DataSource = file,
                DefaultTimeout = 10,
                Pooling = false,
            }.ToString();
            var connection = new SqliteConnection(connectionString);
            connection.Open();
            var writer = new Statements(connection);
            // Pages of 8 KB: with 4 or 16 KB messages of 10 KB are slower by a tenth.
            writer.Execute(
                "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=10000;"
            );
            var version = writer.Number("PRAGMA user_version");
            if (version > Schema.Length)
                throw new SpoolException(
                    $"spool {file} was written by a newer PgpTunnel (schema {version}, here {Schema.Length}): install that again, "
                        + "or restore the backup that was made before (docs/install.md, 'Back to an older version')",
                    false
                );
            if (running && version > 0 && Damage(connection, writer) is { } damage)
                throw new SpoolException(
                    $"spool {file} is damaged: {damage}. 'pgptunnel queue check' says more; 'queue export DIR' writes "
                        + $"out what can be read, then move {file} and {file}.bodies away and 'queue import DIR' into a new one",
                    false
                );
            if (version < Schema.Length)
                Upgrade(connection);
            var bodies = new BodyFiles(file);
            bodies.MakeFolder();
            var spool = new Spool(connectionString, writer, bodies, only);
            if (running && ClockWatch.Follows(spool.LastUsed, TimeProvider.System.GetUtcNow()))
                spool.DeleteLeftOver(TimeProvider.System.GetUtcNow());
            return spool;
        }
        catch (Exception e) when (e is SqliteException or IOException or UnauthorizedAccessException)
        {
            only?.Dispose();
            throw SpoolFile.Unusable(file, e);
        }
        catch
        {
            only?.Dispose();
            throw;
        }
    }

    /// <summary>Brings the schema up to date; another process may have done so in this moment.</summary>
    private static void Upgrade(SqliteConnection connection)
    {
        using var transaction = connection.BeginTransaction(deferred: false);
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "PRAGMA user_version";
        var version = Convert.ToInt32(command.ExecuteScalar(), CultureInfo.InvariantCulture);
        if (version < Schema.Length)
        {
#pragma warning disable CA2100 // our own schema
            command.CommandText = $"{string.Concat(Schema[version..])} PRAGMA user_version={Schema.Length};";
#pragma warning restore CA2100
            command.ExecuteNonQuery();
        }
        transaction.Commit();
    }

    /// <summary>
    /// What is wrong with the file. A large one is looked at only where its size and its tables' roots show it: that must not delay a
    /// start.
    /// </summary>
    private static string? Damage(SqliteConnection connection, Statements statements)
    {
        if (statements.Number("PRAGMA page_count") <= CheckedPages)
            return SpoolRescue.Check(connection, "quick_check") is [var first, ..] ? first : null;
        statements.Scalar("SELECT max(rowid) FROM parcel");
        statements.Scalar("SELECT count(*) FROM (SELECT 1 FROM replay LIMIT 100)");
        return null;
    }
}
