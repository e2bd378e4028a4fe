namespace PgpTunnel;

/// <summary>Parcels with their ciphertexts: small bodies in rows of their own, large ones in files.</summary>
internal sealed partial class Spool
{
    /// <summary>A parcel with its ciphertexts.</summary>
    /// <exception cref="SpoolException">Its body is gone.</exception>
    public (Parcel Parcel, ParcelContent Content)? Load(string id)
    {
        if (LoadRow(id) is not var (parcel, content, file))
            return null;
        if (content.Body.Length == parcel.Octets)
            return (parcel, content);
        if (file.Length > 0 && _bodies.Read(file, parcel.Octets) is { } body)
            return (parcel, content with { Body = body });
        // It may have been settled since its row was read.
        return LoadRow(id) is not var (row, rest, _) ? null
            : row.Octets == 0 ? (row, rest)
            : throw new SpoolException(
                $"the body of parcel {id} ({(file.Length > 0 ? file : "in the database")}) cannot be read or is not "
                    + "whole; the spool is damaged, see 'pgptunnel queue check'",
                false
            );
    }

    /// <summary>A parcel's other ciphertexts, whatever has become of its body.</summary>
    public ParcelContent? LoadWithoutBody(string id) =>
        Read(s =>
                s.Rows(
                    "SELECT key, envelope FROM parcel WHERE id = $id",
                    row => new ParcelContent(default, (byte[])row[0], (byte[])row[1]),
                    ("$id", id)
                )
            )
            .FirstOrDefault();

    private (Parcel, ParcelContent, string)? LoadRow(string id) =>
        Read<(Parcel, ParcelContent, string)?>(s =>
            s.Rows(
                $"SELECT {Columns}, coalesce((SELECT octets FROM body WHERE number = stored), body) AS octets_of_it, key, "
                    + "envelope, file FROM parcel WHERE id = $id",
                row =>
                    (
                        ReadParcel(row),
                        new ParcelContent((byte[])row["octets_of_it"], (byte[])row["key"], (byte[])row["envelope"]),
                        (string)row["file"]
                    ),
                ("$id", id)
            )
                is [var found]
                ? found
                : null
        );

    /// <summary>The same parcel under another key; a parcel that was settled meanwhile stays so.</summary>
    public async Task ChangeBodyAsync(string id, ReadOnlyMemory<byte> body)
    {
        IReadOnlyList<string> files = [];
        await WriteAsync(statements =>
        {
            files = FileOf(statements, "SELECT file FROM parcel WHERE id = $id", ("$id", id));
            if (
                statements.Execute(
                    "UPDATE parcel SET body = x'', stored = NULL, file = '', octets = $octets WHERE id = $id AND octets > 0",
                    ("$id", id),
                    ("$octets", body.Length)
                ) == 0
            )
                return;
            InsertBody(statements, body);
            statements.Execute("UPDATE parcel SET stored = last_insert_rowid() WHERE id = $id", ("$id", id));
        });
        foreach (var file in files)
            _bodies.Delete(file);
    }

    /// <summary>Deletes bodies that no parcel names, left by a crash long ago.</summary>
    private void DeleteLeftOver(DateTimeOffset now) =>
        _bodies.DeleteLeftOver(
            Read(s => s.Rows("SELECT file FROM parcel WHERE file <> '' AND octets > 0", row => row.GetString(0)))
                .ToHashSet(),
            now
        );
}
