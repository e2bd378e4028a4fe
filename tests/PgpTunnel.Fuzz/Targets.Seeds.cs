using System.Text;
using MimeKit;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Fuzz;

/// <summary>What is right to begin with.</summary>
internal static partial class Targets
{
    private static byte[] DnsSeed()
    {
        var name = DomainName.Parse("_pgptunnel.a.example");
        byte[] txt = [5, .. "v=PGP"u8],
            signature =

            [
                0,
                16,
                13,
                3,
                0,
                0,
                1,
                44,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                1,
                .. DomainName.Parse("a.example").Wire,
                .. new byte[64],
            ];
        byte[] Record(ushort type, byte[] rdata) =>
            [
                .. name.Wire,
                (byte)(type >> 8),
                (byte)type,
                0,
                1,
                0,
                0,
                1,
                44,
                (byte)(rdata.Length >> 8),
                (byte)rdata.Length,
                .. rdata,
            ];
        return
        [
            0,
            1,
            0x81,
            0x90,
            0,
            1,
            0,
            2,
            0,
            1,
            0,
            0,
            .. name.Wire,
            0,
            16,
            0,
            1,
            .. Record(16, txt),
            .. Record(46, signature),
            .. Record(47, [.. name.Wire, 0, 2, 0x40, 0x80]),
        ];
    }

    private static byte[] HeaderSeed() =>
        Encoding.ASCII.GetBytes(
            $"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\nPgpTunnel-Version: "
                + $"1\r\nPgpTunnel-Kind: message\r\nPgpTunnel-Id: {new string('a', 32)}\r\nPgpTunnel-Date: "
                + "2026-09-01T10:00:00Z\r\nPgpTunnel-Expires: 2026-09-08T10:00:00Z\r\nPgpTunnel-Sender: a.example; "
                + $"{new string('1', 40)}\r\nPgpTunnel-Recipient: b.example; "
                + $"{new string('2', 40)}\r\nPgpTunnel-Mail-From: <alice@a.example> "
                + "BODY=8BITMIME\r\nPgpTunnel-Rcpt-To: <bob@b.example> NOTIFY=NEVER\r\nPgpTunnel-Size: 4\r\n\r\nbody  \r\n"
        );

    private static byte[] InsideSeed()
    {
        byte[] body = [.. "body"u8];
        using var hash = System.Security.Cryptography.IncrementalHash.CreateHash(
            System.Security.Cryptography.HashAlgorithmName.SHA256
        );
        hash.AppendData(body);
        byte[] onePass = [3, 0, 8, (byte)Key.Signing.Public.Algorithm, .. Key.Signing.Public.Fingerprint.AsSpan(12), 1];
        return
        [
            .. new PacketWriter()
                .Packet(Tag.OnePass, onePass)
                .Packet(Tag.Literal, [(byte)'b', 0, 0, 0, 0, 0, .. body])
                .ToArray(),
            .. SignatureMaker.Packet(
                SignatureType.Binary,
                Key.Signing,
                hash,
                8,
                new SubpacketWriter().Created(Now).Issuer(Key.Signing.Public)
            ),
        ];
    }
}
