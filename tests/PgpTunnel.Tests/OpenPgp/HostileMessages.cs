using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

/// <summary>
/// Makes OpenPGP messages that nobody honest makes, all for one key: right in everything but one thing. The files in
/// <c>Hostile/</c> are its output (PGPTUNNEL_WRITE_VECTORS=folder writes those that are missing); others may be put beside them.
/// </summary>
internal static class HostileMessages
{
    private static readonly byte[] Body = Encoding.ASCII.GetBytes(
        "Subject: hostile\r\n\r\nbody of a hostile message\r\n"
    );

    /// <param name="signer">Signs; its certificate is known and good.</param>
    /// <param name="reader">The key under attack.</param>
    public static IEnumerable<(string Name, byte[] Octets)> Make(
        GatewayKey signer,
        GatewayKey reader,
        DateTimeOffset now
    )
    {
        var peer = Certificate.Read(reader.ExportCertificate()).Judge(reader.UserId, now).Key!;
        var session = SessionKey.Random(9);
        var pkesk = session.Wrap(peer.Encryption);
        byte[] Packet(int tag, params byte[][] parts) =>
            new PacketWriter().Packet(tag, [.. parts.SelectMany(p => p)]).ToArray();
        byte[] Signature(
            byte[] body,
            int type = SignatureType.Binary,
            Func<SubpacketWriter, SubpacketWriter>? more = null,
            byte[]? over = null
        )
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            hash.AppendData(over ?? body);
            var subpackets = new SubpacketWriter()
                .Created(now)
                .Issuer(signer.Signing.Public)
                .Add(35, [4, .. Convert.FromHexString(reader.Fingerprint)]);
            return SignatureMaker.Packet(type, signer.Signing, hash, 8, more?.Invoke(subpackets) ?? subpackets);
        }
        byte[] OnePass(int type = 0, int hash = 8, int algorithm = 0, byte last = 1) =>
            Packet(
                Tag.OnePass,
                [
                    3,
                    (byte)type,
                    (byte)hash,
                    (byte)(algorithm == 0 ? signer.Signing.Public.Algorithm : algorithm),
                    .. signer.Signing.Public.Fingerprint.AsSpan(12),
                    last,
                ]
            );
        byte[] Literal(byte[] body, char format = 'b') => Packet(Tag.Literal, [(byte)format, 0, 0, 0, 0, 0], body);
        byte[] Good() => [.. OnePass(), .. Literal(Body), .. Signature(Body)];
        // SEIPD version 1 around packets: prefix, packets, MDC.
        byte[] Encrypted(
            byte[] packets,
            byte version = 1,
            bool mdc = true,
            bool check = true,
            SessionKey? with = null,
            int tag = Tag.Seipd
        )
        {
            byte[] prefix = RandomNumberGenerator.GetBytes(16);
            byte[] clear =
            [
                .. prefix,
                prefix[14],
                (byte)(check ? prefix[15] : prefix[15] ^ 1),
                .. packets,
                .. mdc ? [0xD3, 0x14] : Array.Empty<byte>(),
            ];
            if (mdc)
                clear = [.. clear, .. SHA1.HashData(clear)];
            Cfb.Encrypt((with ?? session).Key, clear);
            return Packet(tag, [version], clear);
        }
        byte[] Whole(byte[] packets) => [.. pkesk, .. Encrypted(packets)];

        yield return ("good", Whole(Good()));
        yield return ("mdc-missing", [.. pkesk, .. Encrypted(Good(), mdc: false)]);
        var flipped = Whole(Good());
        flipped[^1] ^= 1;
        yield return ("mdc-flipped", flipped);
        yield return ("mdc-truncated", Whole(Good())[..^10]);
        yield return ("quick-check-bad", [.. pkesk, .. Encrypted(Good(), check: false)]);
        yield return ("version-0", [.. pkesk, .. Encrypted(Good(), 0)]);
        yield return ("version-2", [.. pkesk, .. Encrypted(Good(), 2)]);
        yield return ("sed-without-integrity", [.. pkesk, .. Encrypted(Good(), mdc: false, tag: Tag.Sed)]);
        using var compressed = new MemoryStream();
        using (
            var deflate = new System.IO.Compression.DeflateStream(
                compressed,
                System.IO.Compression.CompressionLevel.Optimal,
                true
            )
        )
            deflate.Write([.. OnePass(), .. Literal(new byte[2_000_000]), .. Signature(new byte[2_000_000])]);
        yield return ("compressed-bomb", Whole(Packet(Tag.Compressed, [1], compressed.ToArray())));
        yield return (
            "compressed-literal",
            Whole([.. OnePass(), .. Packet(Tag.Compressed, [0], Literal(Body)), .. Signature(Body)])
        );
        yield return ("nested", Whole(Whole(Good())));
        yield return ("second-literal", Whole([.. OnePass(), .. Literal(Body), .. Literal(Body), .. Signature(Body)]));
        yield return ("literal-before", Whole([.. Literal(Body), .. Good()]));
        yield return ("literal-after", Whole([.. Good(), .. Literal(Body)]));
        yield return ("no-signature", Whole(Literal(Body)));
        yield return ("no-one-pass", Whole([.. Literal(Body), .. Signature(Body)]));
        yield return ("signature-first", Whole([.. Signature(Body), .. Literal(Body)]));
        yield return (
            "two-signatures",
            Whole([.. OnePass(), .. OnePass(), .. Literal(Body), .. Signature(Body), .. Signature(Body)])
        );
        yield return ("one-pass-nested-flag", Whole([.. OnePass(last: 0), .. Literal(Body), .. Signature(Body)]));
        yield return ("one-pass-other-type", Whole([.. OnePass(type: 1), .. Literal(Body), .. Signature(Body)]));
        yield return ("one-pass-other-hash", Whole([.. OnePass(hash: 10), .. Literal(Body), .. Signature(Body)]));
        yield return (
            "one-pass-other-algorithm",
            Whole([.. OnePass(algorithm: 1), .. Literal(Body), .. Signature(Body)])
        );
        yield return ("text-signature", Whole([.. OnePass(type: 1), .. Literal(Body), .. Signature(Body, type: 1)]));
        yield return (
            "certification-as-signature",
            Whole([.. OnePass(type: 0x13), .. Literal(Body), .. Signature(Body, type: 0x13)])
        );
        yield return (
            "signature-over-other-data",
            Whole([.. OnePass(), .. Literal(Body), .. Signature(Body, over: [.. Body, 0])])
        );
        yield return ("signature-other-recipient", Whole([.. OnePass(), .. Literal(Body), .. OtherRecipient()]));
        yield return (
            "signature-unknown-critical",
            Whole([.. OnePass(), .. Literal(Body), .. Signature(Body, more: s => s.Add(100, [1], critical: true))])
        );
        yield return ("signature-future", Whole([.. OnePass(), .. Literal(Body), .. Future()]));
        foreach (var (name, hash) in new[] { ("md5", 1), ("sha1", 2), ("ripemd", 3), ("sha224", 11), ("unknown", 99) })
        {
            var signature = Signature(Body);
            signature[2 + 3] = (byte)hash; // header, version, type, algorithm
            yield return ($"signature-{name}", Whole([.. OnePass(hash: hash), .. Literal(Body), .. signature]));
        }
        yield return ("marker-before", [.. Packet(Tag.Marker, "PGP"u8.ToArray()), .. Whole(Good())]);
        yield return ("padding-before", [.. Packet(Tag.Padding, new byte[20]), .. Whole(Good())]);
        yield return ("trailing-packet", [.. Whole(Good()), .. Packet(Tag.Marker, "PGP"u8.ToArray())]);
        yield return ("trailing-message", [.. Whole(Good()), .. Whole(Good())]);
        yield return ("skesk-beside", [.. Packet(Tag.Skesk, [4, 9, 0, 8]), .. Whole(Good())]);
        yield return ("skesk-alone", [.. Packet(Tag.Skesk, [4, 9, 0, 8]), .. Encrypted(Good())]);
        yield return ("pkesk-behind", [.. Encrypted(Good()), .. pkesk]);
        yield return (
            "five-pkesk",
            [.. Enumerable.Repeat(Packet(Tag.Pkesk, [6, 1, 2, 3]), 4).SelectMany(p => p), .. Whole(Good())]
        );
        yield return ("no-pkesk", Encrypted(Good()));
        yield return ("wrong-session-key", [.. pkesk, .. Encrypted(Good(), with: SessionKey.Random(9))]);
        foreach (
            var (name, cipher, size) in new[]
            {
                ("algorithm-0", 0, 32),
                ("tripledes", 2, 24),
                ("cast5", 3, 16),
                ("twofish", 10, 32),
            }
        )
            yield return (
                $"cipher-{name}",
                [
                    .. new SessionKey(cipher, RandomNumberGenerator.GetBytes(size)).Wrap(peer.Encryption),
                    .. Encrypted(Good()),
                ]
            );
        byte[] huge = [0xD2, 255, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3];
        yield return ("huge-length", [.. pkesk, .. huge]);
        yield return ("length-past-end", [.. pkesk, 0xD2, 255, 0, 1, 0, 0, 1, 2, 3]);
        yield return ("indeterminate-length", [.. pkesk, 0x80 | (18 << 2) & 0x3C | 3, 1, 2, 3]);
        yield return ("partial-of-one", [.. pkesk, 0xD2, 224, 1, 0]);
        yield return ("partial-never-ends", [.. pkesk, 0xD2, 0xE9, .. new byte[512], 0xE9, .. new byte[512]]);
        yield return (
            "literal-huge-name",
            Whole([.. OnePass(), .. Packet(Tag.Literal, [(byte)'b', 255, 0]), .. Signature(Body)])
        );
        yield return (
            "literal-too-short",
            Whole([.. OnePass(), .. Packet(Tag.Literal, [(byte)'b']), .. Signature(Body)])
        );
        foreach (
            var (name, format) in new[]
            {
                ("text", 't'),
                ("utf8", 'u'),
                ("local", 'l'),
                ("local-1", '1'),
                ("mime", 'm'),
                ("zero", '\0'),
            }
        )
            yield return (
                $"literal-format-{name}",
                Whole([.. OnePass(), .. Literal(Body, format), .. Signature(Body)])
            );
        yield return ("empty-inside", Whole([]));
        yield return ("empty", []);
        yield return ("zeros", new byte[200]);
        yield return ("ones", [.. Enumerable.Repeat((byte)0xFF, 200)]);

        byte[] OtherRecipient()
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            hash.AppendData(Body);
            return SignatureMaker.Packet(
                SignatureType.Binary,
                signer.Signing,
                hash,
                8,
                new SubpacketWriter()
                    .Created(now)
                    .Issuer(signer.Signing.Public)
                    .Add(35, [4, .. signer.Signing.Public.Fingerprint])
            );
        }
        byte[] Future()
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            hash.AppendData(Body);
            return SignatureMaker.Packet(
                SignatureType.Binary,
                signer.Signing,
                hash,
                8,
                new SubpacketWriter().Created(now.AddHours(2)).Issuer(signer.Signing.Public)
            );
        }
    }
}
