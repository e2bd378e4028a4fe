namespace PgpTunnel.OpenPgp;

/// <summary>One small thing that is kept sealed.</summary>
/// <param name="Wrapped">PKESK packets, shared by all that were sealed under one session key: the same array for each.</param>
/// <param name="Octets">SEIPDv1{ Literal }. Behind <paramref name="Wrapped"/> it is an OpenPGP message that each reader opens.</param>
public sealed record ArchivedOctets(byte[] Wrapped, byte[] Octets);

/// <summary>
/// Seals many small things to one key of ours and to readers elsewhere, under a session key that is wrapped once an hour: a wrapping for
/// each, and more so for each reader, would cost more than all else that is done with it.
/// </summary>
public sealed class ArchiveSeal(GatewayKey own, IReadOnlyList<ReaderKey> readers)
{
    private readonly SpoolSeal _seal = new(own.Spool, [.. readers.Select(r => r.Encryption)]);

    public ArchivedOctets Seal(ReadOnlySpan<byte> octets)
    {
        var (session, wrapped) = _seal.Use();
        return new(wrapped, MessageSealer.SealWithout(session, octets));
    }
}
