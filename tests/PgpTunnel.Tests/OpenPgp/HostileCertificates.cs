using System.Numerics;
using System.Security.Cryptography;
using System.Text;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

/// <summary>
/// Makes the certificates of a gateway that an attacker, or a careless tool, would publish: right in everything but one thing. The files in
/// <c>Hostile/certificates/</c> are its output, with what becomes of each in <c>verdicts.txt</c>; others may be put beside them.
/// </summary>
internal static class HostileCertificates
{
    public const string Gateway = "pgptunnel@pgptunnel.b.example";
    private static readonly byte[] Marker = [0xCA, 3, 0x50, 0x47, 0x50];

    /// <summary>Name, verdict (part of the refusal, or <c>usable</c>) and octets of each.</summary>
    public static IEnumerable<(string Name, string Verdict, byte[] Octets)> Make(DateTimeOffset now)
    {
        const string userId = "no unrevoked, self-certified User ID",
            signing = "no valid signing key",
            encryption = "no valid encryption subkey";
        var made = now.AddDays(-10);
        var (own, stranger) = (CertificateKeys.Ed25519(made), CertificateKeys.Ed25519(made));
        var good = new CertificateParts(own, made);
        var (p, foreign) = (good.Packets(), new CertificateParts(stranger, made).Packets());

        yield return ("good", "usable", Join(p));
        // 0 primary, 1 User ID, 2 certification, 3 signing subkey, 4 its binding, 5 encryption subkey, 6 its binding
        yield return ("user-id-missing", userId, Join(p[0], p[3], p[4], p[5], p[6]));
        yield return ("user-id-not-certified", userId, Join(p[0], p[1], p[3], p[4], p[5], p[6]));
        yield return ("user-id-certified-by-stranger", userId, Join(p[0], p[1], foreign[2], p[3], p[4], p[5], p[6]));
        yield return (
            "user-id-of-another-gateway",
            userId,
            Join((good with { UserId = "pgptunnel@pgptunnel.c.example" }).Packets())
        );
        yield return (
            "user-id-with-two-addresses",
            userId,
            Join((good with { UserId = $"<other@c.example> <{Gateway}>" }).Packets())
        );
        yield return (
            "user-id-revoked",
            userId,
            Join(p[0], p[1], p[2], good.RevokesUserId(own.Primary, now), p[3], p[4], p[5], p[6])
        );
        yield return (
            "user-id-revoked-by-stranger",
            "usable",
            Join(p[0], p[1], p[2], good.RevokesUserId(stranger.Primary, now), p[3], p[4], p[5], p[6])
        );
        yield return ("certification-sha1", userId, Join((good with { CertificationHash = 2 }).Packets()));
        yield return ("certification-md5", userId, Join((good with { CertificationHash = 1 }).Packets()));
        yield return ("certification-from-the-future", userId, Join((good with { Signed = now.AddDays(2) }).Packets()));
        yield return (
            "certification-expired",
            userId,
            Join((good with { More = s => s.Add(3, [0, 0, 0, 60]) }).Packets())
        );
        yield return (
            "certification-unknown-critical",
            userId,
            Join((good with { More = s => s.Add(99, [1], critical: true) }).Packets())
        );

        yield return ("encryption-subkey-missing", encryption, Join(p[..5]));
        yield return ("encryption-subkey-unbound", encryption, Join([.. p[..5], p[5]]));
        yield return ("encryption-subkey-foreign", encryption, Join([.. p[..5], foreign[5], foreign[6]]));
        yield return ("encryption-subkey-foreign-with-our-binding", encryption, Join([.. p[..5], foreign[5], p[6]]));
        yield return (
            "encryption-subkey-foreign-bound-by-stranger",
            encryption,
            Join([.. p[..5], foreign[5], good.Binds(stranger.Primary, stranger.Encryption.Public, 0x0C)])
        );
        yield return ("encryption-subkey-foreign-beside", "usable", Join([.. p, foreign[5], foreign[6]]));
        yield return (
            "encryption-subkey-without-flags",
            encryption,
            Join((good with { EncryptionFlags = null }).Packets())
        );
        yield return (
            "encryption-subkey-expired",
            encryption,
            Join((good with { EncryptionLifetime = TimeSpan.FromDays(9) }).Packets())
        );
        yield return (
            "encryption-subkey-revoked",
            encryption,
            Join([.. p, good.RevokesSubkey(own.Primary, own.Encryption.Public, now)])
        );
        yield return (
            "encryption-subkey-revoked-by-stranger",
            "usable",
            Join([.. p, good.RevokesSubkey(stranger.Primary, own.Encryption.Public, now)])
        );
        yield return ("encryption-subkey-binding-sha1", encryption, Join((good with { BindingHash = 2 }).Packets()));
        yield return (
            "encryption-subkey-of-order-one",
            encryption,
            Join((good with { Encryption = Point(Curve25519.Instance, new byte[32]) }).Packets())
        );
        yield return (
            "encryption-subkey-off-its-curve",
            encryption,
            Join((good with { Encryption = Point(NistCurve.P256, [.. Enumerable.Repeat((byte)7, 64)]) }).Packets())
        );
        yield return (
            "encryption-subkey-from-the-future",
            encryption,
            Join(
                (
                    good with
                    {
                        Encryption = SecretKey.Of(EcdhPublic.Make(Curve25519.Instance), now.AddDays(2)).Public,
                    }
                ).Packets()
            )
        );
        yield return (
            "encryption-subkey-weak-rsa",
            encryption,
            Join((good with { Encryption = WeakRsa.OfSize(1024, made).Public }).Packets())
        );

        yield return ("signing-subkey-missing", signing, Join([.. p[..3], p[5], p[6]]));
        yield return ("signing-subkey-foreign", signing, Join([.. p[..3], foreign[3], foreign[4], p[5], p[6]]));
        yield return (
            "signing-subkey-without-back-signature",
            signing,
            Join((good with { BackSignedBy = null }).Packets())
        );
        yield return (
            "signing-subkey-back-signed-by-primary",
            signing,
            Join((good with { BackSignedBy = own.Primary }).Packets())
        );
        yield return (
            "signing-subkey-back-signed-by-stranger",
            signing,
            Join((good with { BackSignedBy = stranger.Signing }).Packets())
        );
        yield return (
            "signing-subkey-of-someone-else-claimed",
            signing,
            Join((good with { Keys = own with { Signing = stranger.Signing }, BackSignedBy = own.Signing }).Packets())
        );
        yield return ("signing-subkey-back-signature-sha1", signing, Join((good with { BackHash = 2 }).Packets()));
        yield return ("signing-subkey-back-signature-md5", signing, Join((good with { BackHash = 1 }).Packets()));
        yield return ("signing-subkey-without-flags", signing, Join((good with { SigningFlags = null }).Packets()));
        yield return (
            "signing-subkey-revoked",
            signing,
            Join([.. p[..5], good.RevokesSubkey(own.Primary, own.Signing.Public, now), p[5], p[6]])
        );

        yield return ("expired", "it has expired", Join((good with { Lifetime = TimeSpan.FromDays(9) }).Packets()));
        yield return (
            "from-the-future",
            "future",
            Join(new CertificateParts(CertificateKeys.Ed25519(now.AddDays(2)), now.AddDays(2)).Packets())
        );
        var revocation = good.RevokesKey(own.Primary, now);
        yield return ("revoked", "it is revoked", Join([p[0], revocation, .. p[1..]]));
        yield return ("revoked-at-the-end", "it is revoked", Join([.. p, revocation]));
        yield return ("revoked-behind-a-marker", "it is revoked", Join([p[0], Marker, revocation, .. p[1..]]));
        yield return (
            "revoked-by-sha1",
            "it is revoked",
            Join([p[0], good.RevokesKey(own.Primary, now, hash: 2), .. p[1..]])
        );
        yield return (
            "revoked-with-unknown-critical",
            "it is revoked",
            Join([p[0], good.RevokesKey(own.Primary, now, s => s.Add(99, [1], critical: true)), .. p[1..]])
        );
        yield return ("revoked-by-stranger", "usable", Join([p[0], good.RevokesKey(stranger.Primary, now), .. p[1..]]));
        yield return (
            "revocation-of-stranger",
            "usable",
            Join([p[0], new CertificateParts(stranger, made).RevokesKey(stranger.Primary, now), .. p[1..]])
        );

        yield return (
            "rsa-1024",
            "outside 3072",
            Join((good with { Keys = own with { Primary = WeakRsa.OfSize(1024, made) } }).Packets())
        );
        yield return (
            "rsa-2048",
            "outside 3072",
            Join((good with { Keys = own with { Primary = WeakRsa.OfSize(2048, made) } }).Packets())
        );
        yield return (
            "rsa-exponent-3",
            "exponent",
            Join((good with { Keys = own with { Primary = WeakRsa.WithExponent3(made) } }).Packets())
        );
        yield return (
            "rsa-roca",
            "ROCA",
            Join((good with { Keys = own with { Primary = WeakRsa.Roca(made) } }).Packets())
        );

        yield return ("two-certificates", "more than one certificate", Join([.. p, .. foreign]));
        yield return ("only-a-user-id", "stands where none belongs", p[1]);
        yield return ("subkey-first", "stands where none belongs", Join(p[3], p[4], p[0], p[1], p[2]));
        yield return (
            "literal-inside",
            "stands where none belongs",
            Join([.. p, new PacketWriter().Packet(Tag.Literal, [(byte)'b', 0, 0, 0, 0, 0]).ToArray()])
        );
        yield return (
            "secret-key",
            "stands where none belongs",
            Join([
                new PacketWriter()
                    .Packet(Tag.SecretKey, [.. own.Primary.Public.Body, 0, .. own.Primary.WriteSecret(), 0, 0])
                    .ToArray(),
                .. p[1..],
            ])
        );
        yield return (
            "too-many-signatures",
            "more than 64 signatures",
            Join([p[0], .. Enumerable.Repeat(revocation, 65)])
        );
        yield return (
            "too-large",
            "octets, more than",
            Join([.. p, new PacketWriter().Packet(Tag.Padding, new byte[33_000]).ToArray()])
        );
        yield return (
            "key-version-3",
            "version",
            Join([new PacketWriter().Packet(Tag.PublicKey, [3, .. own.Primary.Public.Body[1..]]).ToArray(), .. p[1..]])
        );
        yield return (
            "key-algorithm-dsa",
            "algorithm 17",
            Join([
                new PacketWriter()
                    .Packet(Tag.PublicKey, [.. own.Primary.Public.Body[..5], 17, .. own.Primary.Public.Body[6..]])
                    .ToArray(),
                .. p[1..],
            ])
        );
        yield return ("huge-length", "", Join([.. p, [0xC2, 255, 0xFF, 0xFF, 0xFF, 0xFF, 1]]));
        yield return ("truncated", "", Join(p)[..^20]);
        yield return ("empty", "there is no certificate", []);

        PublicKey Point(Curve curve, byte[] point) =>
            PublicKey.Read(
                new PacketWriter()
                    .U8(4)
                    .U32((uint)made.ToUnixTimeSeconds())
                    .U8(KeyAlgorithm.Ecdh)
                    .Bytes(curve.WriteKey(point).ToArray())
                    .U8(3)
                    .U8(1)
                    .U8(8)
                    .U8(9)
                    .ToArray()
            );
    }

    private static byte[] Join(params IEnumerable<byte[]> packets) => [.. packets.SelectMany(p => p)];
}
