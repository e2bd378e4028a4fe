namespace PgpTunnel.OpenPgp;

/// <summary>
/// One OpenPGP certificate as published: a primary key, User IDs and subkeys with their signatures, in the order found. Reading it says
/// nothing about its worth; <see cref="Judge"/> does.
/// </summary>
public sealed partial class Certificate
{
    /// <summary>A published certificate is at most this large (octets).</summary>
    public const int MaxSize = 32 * 1024;

    /// <summary>Signatures looked at in one certificate; each may cost a verification.</summary>
    private const int MaxSignatures = 64;

    private readonly PublicKey _primary;
    private readonly List<Signature> _direct = [];
    private readonly List<(byte[] Id, List<Signature> Signatures)> _userIds = [];
    private readonly List<(PublicKey Key, List<Signature> Signatures)> _subkeys = [];

    private Certificate(PublicKey primary, byte[] octets) => (_primary, Octets) = (primary, octets);

    /// <summary>The certificate as published, binary.</summary>
    public byte[] Octets { get; }

    /// <summary>Fingerprint of the primary key: 40 lower-case hex digits.</summary>
    public string Fingerprint => _primary.FingerprintHex;

    /// <summary>The first User ID's mailbox, without name and angle brackets; null = it has none.</summary>
    public string? Mailbox =>
        _userIds
            .Select(u => System.Text.Encoding.UTF8.GetString(u.Id))
            .Select(t => t.EndsWith('>') ? t[(t.LastIndexOf('<') + 1)..^1] : t)
            .FirstOrDefault(t => t.Contains('@', StringComparison.Ordinal));

    /// <summary>
    /// What verifies its signatures, whoever it is; null when it is revoked, or no certificate of ours and our peers' kind.
    /// </summary>
    public SignerKey? SignerAt(DateTimeOffset now) => Mailbox is { } mailbox ? Judge(mailbox, now).Signer : null;

    /// <summary>As <see cref="Read"/>, of what a person has in a file: binary, or armored.</summary>
    /// <inheritdoc cref="Read"/>
    public static Certificate ReadFile(byte[] octets) =>
        Read(Armor.IsIn(Armor.PublicKeyBlock, octets) ? Armor.Decode(Armor.PublicKeyBlock, octets) : octets);

    /// <summary>Reads exactly one certificate, binary. Subkeys and User IDs of kinds we do not know are passed over.</summary>
    /// <exception cref="OpenPgpException">Not a certificate, more than one, or one that is too large.</exception>
    public static Certificate Read(ReadOnlySpan<byte> octets)
    {
        if (octets.Length > MaxSize)
            throw new OpenPgpException($"the certificate has {octets.Length} octets, more than {MaxSize}");
        var reader = new PacketReader(octets);
        Certificate? certificate = null;
        List<Signature>? current = null;
        var signatures = 0;
        while (!reader.AtEnd)
        {
            var body = reader.Packet(out var tag);
            switch (tag)
            {
                case Tag.PublicKey when certificate is null:
                    certificate = new Certificate(PublicKey.Read(body), octets.ToArray());
                    current = certificate._direct;
                    break;
                case Tag.PublicKey:
                    throw new OpenPgpException("more than one certificate stands in one record");
                case Tag.UserId when certificate is not null:
                    current = [];
                    certificate._userIds.Add((body.ToArray(), current));
                    break;
                case Tag.PublicSubkey when certificate is not null:
                    current = [];
                    if (TryReadKey(body) is { } key)
                        certificate._subkeys.Add((key, current));
                    break;
                case Tag.Signature when certificate is not null:
                    if (++signatures > MaxSignatures)
                        throw new OpenPgpException($"the certificate carries more than {MaxSignatures} signatures");
                    // A revocation of the key counts wherever it stands.
                    if (Signature.TryRead(body.ToArray()) is { } signature)
                        (signature.Type == SignatureType.KeyRevocation ? certificate._direct : current!).Add(signature);
                    break;
                case Tag.UserAttribute when certificate is not null:
                    current = [];
                    break;
                case Tag.Trust or Tag.Marker or Tag.Padding when certificate is not null:
                    break;
                default:
                    throw new OpenPgpException($"a packet of type {tag} stands where none belongs");
            }
        }
        return certificate ?? throw new OpenPgpException("there is no certificate");
    }

    private static PublicKey? TryReadKey(ReadOnlySpan<byte> body)
    {
        try
        {
            return PublicKey.Read(body);
        }
        catch (OpenPgpException)
        {
            return null;
        }
    }
}
