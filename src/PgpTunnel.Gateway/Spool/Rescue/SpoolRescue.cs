using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Data.Sqlite;

namespace PgpTunnel;

/// <summary>
/// What can be done for a spool that is damaged: say so, write out what can be read, and read it into a new one. Works row by row on the
/// file itself, past rows that cannot be read. What is written is sealed as it was.
/// </summary>
internal static partial class SpoolRescue
{
    /// <summary>
    /// The tables that matter, and the columns of their key; none = their rows are numbered, so that each hole can be stepped over.
    /// </summary>
    private static readonly (string Name, string[] Key)[] Tables =
    [
        ("parcel", []),
        ("replay", ["sender", "id"]),
        ("peer", []),
        ("certificate", ["domain", "fingerprint"]),
        ("act", []),
        ("log", []),
        ("head", ["own", "peer", "id", "size", "root"]),
        ("blob", []),
        ("seal", []),
        ("record", []),
        ("tag", []),
        ("found", []),
        ("block", []),
    ];

    /// <summary>SQLITE_CONSTRAINT: text where a number belongs, or the like.</summary>
    private const int Constraint = 19;

    private static SqliteConnection Open(string file, SqliteOpenMode mode)
    {
        if (!SpoolFile.IsThere(file))
            throw new SpoolException($"there is no spool {file}", false);
        var connection = new SqliteConnection(
            new SqliteConnectionStringBuilder
            {
                DataSource = file,
                Mode = mode,
                Pooling = false,
                DefaultTimeout = 10,
            }.ToString()
        );
        try
        {
            connection.Open();
            return connection;
        }
        catch (SqliteException e)
        {
            connection.Dispose();
            throw SpoolFile.Unusable(file, e);
        }
    }

    /// <summary>Writes every row that can be read to <c>TABLE.jsonl</c> in a folder.</summary>
    /// <returns>Rows written and places passed over, by table.</returns>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public static IReadOnlyList<(string Table, int Rows, int Unreadable)> Export(
        string file,
        string directory,
        IProgress<Stage> progress
    )
    {
        using var connection = Open(file, SqliteOpenMode.ReadWrite);
        using (var command = connection.CreateCommand())
        {
            command.CommandText = "PRAGMA writable_schema=ON"; // else SQLite reads nothing at all of a file that was cut short
            command.ExecuteNonQuery();
        }
        Directory.CreateDirectory(directory);
        var bodies = new BodyFiles(file);
        var result = new List<(string, int, int)>();
        foreach (var (name, key) in Tables.Where(t => !IsNewerThan(connection, t.Name)))
        {
            var path = Path.Combine(directory, $"{name}.jsonl");
            OwnFiles.Write(path, []);
            using var writer = new StreamWriter(path, append: true);
            var (table, rows, withoutBody) = (new DamagedTable(connection, name), 0, 0);
            foreach (var row in key is [] ? table.Numbered() : table.Keyed(key))
            {
                var stored = row["stored"]?.ToString();
                if (!Complete(connection, row, bodies))
                {
                    if (SpoolLock.IsHeld(file) && IsSettled(connection, row))
                        continue; // meanwhile
                    withoutBody++;
                }
                else if (stored is not null && SpoolLock.IsHeld(file) && !IsStored(connection, row, stored))
                    continue; // settled meanwhile, and its number may be another's
                writer.WriteLine(row.ToJsonString());
                progress.Report(new($"rows of {name}", ++rows));
            }
            result.Add((name, rows, table.Unreadable + withoutBody));
        }
        return result;
    }

    /// <summary>A spool of a former version has no such table yet. Where even that cannot be read, it is looked for.</summary>
    private static bool IsNewerThan(SqliteConnection connection, string table)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT count(*) FROM sqlite_master WHERE name = $name";
        command.Parameters.AddWithValue("$name", table);
        try
        {
            return command.ExecuteScalar() is 0L;
        }
        catch (SqliteException)
        {
            return false;
        }
    }

    /// <summary>Reads rows into a spool; those that are there already stay as they are.</summary>
    /// <returns>Rows added, and rows whose damage shows in that they do not fit their table.</returns>
    /// <exception cref="FormatException">They are no rows; nothing was taken.</exception>
    public static IReadOnlyList<(string Table, int Rows, int Unfit)> Import(
        string file,
        string directory,
        IProgress<Stage> progress
    )
    {
        using var connection = Open(file, SqliteOpenMode.ReadWrite);
        using var transaction = connection.BeginTransaction();
        var result = new List<(string, int, int)>();
        var logs = new LogRows(connection, transaction);
        foreach (var (table, _) in Tables)
        {
            var path = Path.Combine(directory, $"{table}.jsonl");
            var columns = Columns(connection, table);
            var (rows, unfit) = (0, 0);
            foreach (var line in File.Exists(path) ? File.ReadLines(path) : [])
                try
                {
                    var row = JsonNode.Parse(line)!.AsObject();
                    logs.Renumber(table, row);
                    rows += Insert(connection, transaction, table, columns, row);
                    progress.Report(new($"rows of {table}", rows));
                }
                catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
                {
                    throw new FormatException($"{path}: {e.Message}", e);
                }
                catch (SqliteException e) when (e.SqliteErrorCode == Constraint)
                {
                    unfit++; // one page of nonsense is no reason to leave the rest behind
                }
            result.Add((table, rows, unfit));
        }
        transaction.Commit();
        return result;
    }

    /// <summary>Puts a body that lies elsewhere into its row. False when it cannot be read.</summary>
    private static bool Complete(SqliteConnection connection, JsonObject row, BodyFiles bodies)
    {
        if (row["stored"] is JsonValue stored && stored.TryGetValue(out long number))
        {
            row.Remove("stored");
            if (Body(connection, number) is not { } octets)
                return false;
            row["body"] = DamagedTable.AsJson(octets);
            return true;
        }
        if (row["file"] is not JsonValue file || !file.TryGetValue(out string? name) || name.Length == 0)
            return true;
        if (
            row["octets"] is not JsonValue length
            || !length.TryGetValue(out long size)
            || !name.All(char.IsAsciiHexDigitLower)
        )
            return false; // what stands there is damaged
        if (size == 0)
            return true; // handed over
        if (bodies.Read(name, size) is not { } body)
            return false;
        (row["body"], row["file"]) = (DamagedTable.AsJson(body), "");
        return true;
    }

    private static byte[]? Body(SqliteConnection connection, long number)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT octets FROM body WHERE number = $number";
        command.Parameters.AddWithValue("$number", number);
        try
        {
            return command.ExecuteScalar() as byte[];
        }
        catch (SqliteException)
        {
            return null;
        }
    }

    private static bool IsStored(SqliteConnection connection, JsonObject row, string number)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT stored FROM parcel WHERE id = $id";
        command.Parameters.AddWithValue("$id", row["id"]?.ToString() ?? "");
        try
        {
            return command.ExecuteScalar()?.ToString() == number;
        }
        catch (SqliteException)
        {
            return true; // what is damaged is nobody's to change
        }
    }

    private static bool IsSettled(SqliteConnection connection, JsonObject row)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT octets FROM parcel WHERE id = $id";
        command.Parameters.AddWithValue("$id", row["id"]?.ToString() ?? "");
        try
        {
            return command.ExecuteScalar() is null or 0L;
        }
        catch (SqliteException)
        {
            return false;
        }
    }

    private static List<string> Columns(SqliteConnection connection, string table)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT name FROM pragma_table_info($table)";
        command.Parameters.AddWithValue("$table", table);
        using var row = command.ExecuteReader();
        var columns = new List<string>();
        while (row.Read())
            columns.Add(row.GetString(0));
        return columns;
    }

    private static int Insert(
        SqliteConnection connection,
        SqliteTransaction transaction,
        string table,
        List<string> columns,
        JsonObject row
    )
    {
        var known = columns.Where(row.ContainsKey).ToList();
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
#pragma warning disable CA2100 // table and columns are our schema's
        command.CommandText =
            $"INSERT OR IGNORE INTO {table}({string.Join(", ", known)}) VALUES({string.Join(", ", known.Select((_, i) => $"${i}"))})";
#pragma warning restore CA2100
        for (var i = 0; i < known.Count; i++)
            command.Parameters.AddWithValue(
                $"${i}",
                row[known[i]] switch
                {
                    null => DBNull.Value,
                    JsonObject blob => Convert.FromBase64String(blob["base64"]!.GetValue<string>()),
                    JsonValue value when value.GetValueKind() == JsonValueKind.Number => value.GetValue<long>(),
                    var text => text.GetValue<string>(),
                }
            );
        return command.ExecuteNonQuery();
    }
}
