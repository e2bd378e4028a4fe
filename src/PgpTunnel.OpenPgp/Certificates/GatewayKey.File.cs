using System.Security.Cryptography;
using System.Text;

namespace PgpTunnel.OpenPgp;

public sealed partial class GatewayKey
{
    internal const int S2kCount = 0xFF; // 62 MiB hashed a key, the most there is (RFC 9580 3.7.1.3)

    /// <summary>
    /// The transferable secret key, armored; secrets are encrypted when a passphrase is given (S2K 3, SHA-256, AES-256, SHA-1 check).
    /// </summary>
    public byte[] ExportSecret(string? passphrase)
    {
        var writer = new PacketWriter()
            .Packet(Tag.SecretKey, Protect(_primary, passphrase))
            .Packet(Tag.UserId, _userId)
            .Packet(Tag.Signature, _selfSignature);
        foreach (var certification in _certifications)
            writer.Packet(Tag.Signature, certification);
        foreach (var (key, binding, _) in _subkeys)
            writer.Packet(Tag.SecretSubkey, Protect(key, passphrase)).Packet(Tag.Signature, binding);
        return Armor.Encode(Armor.PrivateKeyBlock, writer.ToArray());
    }

    /// <summary>Reads every armored secret key in a backup. A key made elsewhere has no spool subkey and gets one.</summary>
    /// <exception cref="OpenPgpException">No key, one that is none of ours, or the passphrase is missing or wrong.</exception>
    public static IReadOnlyList<GatewayKey> ReadBackup(
        ReadOnlySpan<byte> armored,
        string? passphrase,
        DateTimeOffset now
    )
    {
        var keys = new List<GatewayKey>();
        var begin = System.Text.Encoding.ASCII.GetBytes($"-----BEGIN {Armor.PrivateKeyBlock}-----");
        do
        {
            keys.Add(ReadSecret(armored, passphrase, now));
            armored = armored[(armored.IndexOf(begin) + begin.Length)..];
        } while (armored.IndexOf(begin) >= 0);
        return keys;
    }

    /// <summary>Reads what <see cref="ExportSecret"/> wrote, armored.</summary>
    /// <param name="addSpool">When set, the time at which a missing spool subkey is made.</param>
    /// <exception cref="OpenPgpException">Not such a key, or the passphrase is missing or wrong.</exception>
    public static GatewayKey ReadSecret(ReadOnlySpan<byte> armored, string? passphrase, DateTimeOffset? addSpool = null)
    {
        var reader = new PacketReader(Armor.Decode(Armor.PrivateKeyBlock, armored));
        SecretKey? primary = null,
            current = null;
        byte[]? userId = null,
            self = null;
        var selfCreated = DateTimeOffset.MinValue;
        var certifications = new List<byte[]>();
        var subkeys = new List<(SecretKey, byte[], int)>();
        while (!reader.AtEnd)
        {
            var body = reader.Packet(out var tag);
            switch (tag)
            {
                case Tag.SecretKey when primary is null:
                    current = primary = Unprotect(body, passphrase);
                    break;
                case Tag.SecretSubkey when primary is not null:
                    current = Unprotect(body, passphrase);
                    break;
                case Tag.UserId when primary is not null:
                    userId ??= body.ToArray();
                    break;
                case Tag.Signature when ReferenceEquals(current, primary):
                    var certification = Signature.Read(body);
                    if (
                        certification.Type == SignatureType.KeyRevocation
                        && certification.IsBy(primary!.Public, primary.Public.Hashed)
                    )
                        throw new OpenPgpException("the key is revoked");
                    if (
                        userId is not null
                        && certification.Type
                            is >= SignatureType.CertificationGeneric
                                and <= SignatureType.CertificationPositive
                        && certification.Created > selfCreated
                        && certification.IsBy(primary!.Public, primary.Public.Hashed, Certificate.HashedUserId(userId))
                    )
                        (self, selfCreated) = (body.ToArray(), certification.Created.Value);
                    else if (
                        userId is not null
                        && certification.Type == SignatureType.CertificationPositive
                        && !certification.IsBy(primary!.Public, primary.Public.Hashed, Certificate.HashedUserId(userId))
                    )
                        certifications.Add(body.ToArray());
                    break;
                case Tag.Signature when current is not null:
                    var binding = Signature.Read(body);
                    if (!binding.IsBy(primary!.Public, primary.Public.Hashed, current.Public.Hashed))
                        break;
                    if (binding.Type == SignatureType.SubkeyRevocation)
                        subkeys.RemoveAll(s => ReferenceEquals(s.Item1, current));
                    if (binding.Type == SignatureType.SubkeyBinding)
                    {
                        // Of several bindings the newest counts.
                        var known = subkeys.FindIndex(s => ReferenceEquals(s.Item1, current));
                        if (known < 0)
                            subkeys.Add((current, body.ToArray(), binding.KeyFlags ?? 0));
                        else if (
                            binding.Created
                            > Signature
                                .Read(
                                    new PacketReader(
                                        new PacketWriter().Packet(Tag.Signature, subkeys[known].Item2).ToArray()
                                    ).Packet(out _)
                                )
                                .Created
                        )
                            subkeys[known] = (current, body.ToArray(), binding.KeyFlags ?? 0);
                    }
                    break;
                default:
                    throw new OpenPgpException($"a packet of type {tag} stands where none belongs");
            }
        }
        if (addSpool is { } now && primary is not null && !subkeys.Exists(s => s.Item3 == FlagSpool))
        {
            var spool = NewSpool(DateTimeOffset.FromUnixTimeSeconds(now.ToUnixTimeSeconds()));
            subkeys.Add((spool, Bind(primary, spool, FlagSpool, spool.Public.Created), FlagSpool));
        }
        return primary is not null && userId is not null && self is not null
            ? new(primary, userId, self, certifications, subkeys)
            : throw new OpenPgpException("the file holds no whole secret key with a self-certified User ID");
    }

    private static byte[] Protect(SecretKey key, string? passphrase)
    {
        var secret = key.WriteSecret();
        var writer = new PacketWriter().Bytes(key.Public.Body);
        if (passphrase is null)
            return writer.U8(0).Bytes(secret).U16(secret.Aggregate(0, (sum, octet) => sum + octet) & 0xFFFF).ToArray();
        var (salt, iv) = (RandomNumberGenerator.GetBytes(8), RandomNumberGenerator.GetBytes(16));
        byte[] clear = [.. secret, .. SHA1.HashData(secret)];
        using var aes = Aes.Create();
        aes.Key = DeriveKey(passphrase, salt, S2kCount);
        return writer
            .U8(254)
            .U8(9)
            .U8(3)
            .U8(8)
            .Bytes(salt)
            .U8(S2kCount)
            .Bytes(iv)
            .Bytes(Crypt(aes, iv, clear, true))
            .ToArray();
    }

    private static SecretKey Unprotect(ReadOnlySpan<byte> packet, string? passphrase)
    {
        var reader = new PacketReader(packet);
        var key = PublicKey.Read(ref reader, packet);
        var usage = reader.U8();
        if (usage == 0)
        {
            var fields = reader.Take(Math.Max(0, reader.Remaining - 2));
            var sum = 0;
            foreach (var octet in fields)
                sum += octet;
            return (sum & 0xFFFF) == reader.U16()
                ? SecretKey.ReadSecret(key, fields)
                : throw new OpenPgpException("the secret key's checksum is wrong");
        }
        if (usage != 254 || reader.U8() != 9 || reader.U8() != 3 || reader.U8() != 8)
            throw new OpenPgpException(
                "the secret key is protected in a way that is not supported (AES-256 with iterated SHA-256 is)"
            );
        if (passphrase is null)
            throw new OpenPgpException("the secret key has a passphrase; set keys.passphraseFile");
        var salt = reader.Take(8).ToArray();
        using var aes = Aes.Create();
        aes.Key = DeriveKey(passphrase, salt, reader.U8());
        var iv = reader.Take(16).ToArray();
        var clear = Crypt(aes, iv, reader.Rest().ToArray(), false);
        return
            clear.Length > 20
            && CryptographicOperations.FixedTimeEquals(
                SHA1.HashData(clear.AsSpan(0, clear.Length - 20)),
                clear.AsSpan(clear.Length - 20)
            )
            ? SecretKey.ReadSecret(key, clear.AsSpan(0, clear.Length - 20))
            : throw new OpenPgpException("the passphrase is wrong");
    }

    private static byte[] Crypt(Aes aes, byte[] iv, byte[] data, bool encrypt)
    {
        var padded = new byte[(data.Length + 15) / 16 * 16];
        data.CopyTo(padded, 0);
        var result = encrypt
            ? aes.EncryptCfb(padded, iv, PaddingMode.None, 128)
            : aes.DecryptCfb(padded, iv, PaddingMode.None, 128);
        return result[..data.Length];
    }

    /// <summary>RFC 9580 3.7.1.3: salt and passphrase over and over until the count is reached.</summary>
    internal static byte[] DeriveKey(string passphrase, byte[] salt, int codedCount)
    {
        byte[] once = [.. salt, .. Encoding.UTF8.GetBytes(passphrase)];
        var count = Math.Max((16 + (codedCount & 15)) << ((codedCount >> 4) + 6), once.Length);
        // many at a time, since each call costs
        byte[] unit = [.. Enumerable.Repeat(once, Math.Max(1, 64 * 1024 / once.Length)).SelectMany(o => o)];
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (var left = count; left > 0; left -= unit.Length)
            hash.AppendData(unit, 0, Math.Min(left, unit.Length));
        return hash.GetHashAndReset();
    }
}
