namespace PgpTunnel;

/// <summary>What records name by its SHA-256: proofs of the DNS.</summary>
internal sealed partial class Spool
{
    /// <param name="name">SHA-256 of the octets.</param>
    public Task KeepBlobAsync(byte[] name, byte[] octets) =>
        WriteAsync(statements =>
            statements.Execute(
                "INSERT INTO blob(sha256, octets) VALUES($name, $octets) ON CONFLICT DO NOTHING",
                ("$name", name),
                ("$octets", octets)
            )
        );

    /// <returns>Null when there is none of that name.</returns>
    public byte[]? Blob(byte[] name) =>
        Read(s => s.Scalar("SELECT octets FROM blob WHERE sha256 = $name", ("$name", name))) as byte[];
}
