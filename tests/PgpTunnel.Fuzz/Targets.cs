using System.Text;
using MimeKit;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Fuzz;

/// <summary>
/// Every parser of foreign bytes: each takes any octets and throws nothing but its own refusal. What else comes out is a finding.
/// </summary>
internal static partial class Targets
{
    private static readonly DateTimeOffset Now = DateTimeOffset.FromUnixTimeSeconds(1_790_000_000);
    private static readonly GatewayKey Key = GatewayKey.Generate(
        GatewayAlgorithm.Ed25519,
        "pgptunnel@pgptunnel.b.example",
        Now.AddDays(-1)
    );
    private static readonly PeerKey Peer = Certificate
        .Read(Key.ExportCertificate())
        .Judge("pgptunnel@pgptunnel.b.example", Now)
        .Key!;
    private static readonly SessionKey Session = SessionKey.Random(9);
    private static readonly LargeArrays Arrays = new(1 << 24);

    /// <param name="Seeds">Inputs to begin from.</param>
    internal sealed record Target(string Name, Action<byte[]> Run, IReadOnlyList<byte[]> Seeds);

    public static IReadOnlyList<Target> All { get; } =
    [
        new(
            "smtp-command",
            Commands,
            Texts(
                "<a@b.example> SIZE=1 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb",
                "<\"a b\"@b.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@b",
                "<@a,@b:c@d.example>",
                "<a@[IPv6:::1]>",
                "<>"
            )
        ),
        new("smtp-reply", Replies, Texts("250 2.1.0 ok", "250-a\r\n250-SIZE 1\r\n250 DSN", "451 4.7.1 x", "junk")),
        new("data", Data, Texts("Subject: x\r\n\r\n.dot\r\n..\r\n.\r\nNOOP\r\n", "a\rb\nc\r\n.\r\n", "\r\n.\r\n")),
        new("dns-message", Dns, [DnsSeed()]),
        new("dns-proof", Proofs, [ProofSeed()]),
        new("evidence-bundle", Bundles, [Kept.Bundle]),
        new("evidence-record", Records, RecordSeeds()),
        new("evidence-checkpoint", Checkpoints, CheckpointSeeds()),
        new("evidence-receipt", Receipts, [KeptTail.Text]),
        new(
            "policy-record",
            Policy,
            Texts(
                "v=PGPT1; m=enforce; fp=0123456789012345678901234567890123456789; gw=pgptunnel@pgptunnel.a.example; a=604800; sz=1",
                "v=PGPT1;m=none",
                "v=PGPT1; xfp=0123456789012345678901234567890123456789"
            )
        ),
        new(
            "certificate",
            Certificates,
            [
                Key.ExportCertificate(),
                GatewayKey
                    .Generate(GatewayAlgorithm.P256, "pgptunnel@pgptunnel.b.example", Now.AddDays(-1))
                    .ExportCertificate(Now),
            ]
        ),
        new("sealed-message", Sealed, [MessageSealer.Seal(["body"u8.ToArray()], Key, Peer, Now).Octets.ToArray()]),
        new("inside", Inside, [InsideSeed()]),
        new(
            "armor",
            Armored,
            [
                Armor.Encode(Armor.Message, "octets"u8.ToArray()),
                .. Texts("-----BEGIN PGP MESSAGE-----\r\nVersion: x\r\n\r\nAAAA\r\n=AAAA\r\n-----END PGP MESSAGE-----"),
            ]
        ),
        new("inner-header", Header, [HeaderSeed()]),
        new(
            "outer-message",
            Outer,
            [
                [
                    .. OuterMessage
                        .Build("a@a.example", "b@b.example", "t", Now, "octets"u8.ToArray())
                        .SelectMany(p => p.ToArray()),
                ],
            ]
        ),
        new(
            "report",
            Report,
            Texts(
                "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: "
                    + "text/plain\r\n\r\nx\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; "
                    + "x\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n--b--\r\n"
            )
        ),
        new(
            "header-fields",
            Fields,
            Texts(
                "Received: x\r\n\tby y\r\nFrom: \"a\" <a@b.example>\r\nPgpTunnel-Require: yes\r\n\r\nbody",
                " folded\r\n\r\n"
            )
        ),
        new("secret-key", Secret, [Key.ExportSecret(null), Key.ExportSecret("x")]),
        new(
            "trust-anchors",
            Anchors,
            Texts(
                ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
                ". 1 IN DNSKEY 257 3 8 AwEAAQ=="
            )
        ),
    ];

    private static List<byte[]> Texts(params string[] texts) => [.. texts.Select(Encoding.UTF8.GetBytes)];

    private static void Commands(byte[] input)
    {
        var text = Encoding.UTF8.GetString(input);
        foreach (var utf8 in new[] { false, true })
            if (ForwardPath.Parse(text, utf8) is { Path: { } to } && ForwardPath.Parse(to.ToString(), utf8).Path != to)
                throw new InvalidDataException($"a recipient does not survive being written: {to}");
        if (
            ReversePath.Parse(text) is { Path: { } sender }
            && ReversePath.Parse(sender.ToString()).Path != sender with { Size = null }
        )
            throw new InvalidDataException($"a sender does not survive being written: {sender}");
    }

    private static void Replies(byte[] input)
    {
        try
        {
            SmtpReply.Parse([.. Encoding.UTF8.GetString(input).Split("\r\n")]);
        }
        catch (SmtpProtocolException) { }
    }

    /// <summary>In two pieces and in one: the same message, the same end.</summary>
    private static void Data(byte[] input)
    {
        if (input.Length == 0)
            return;
        using var whole = new MessageBuffer(1 << 20, input[0] % 2 == 0, 0, null, Arrays);
        using var pieces = new MessageBuffer(1 << 20, input[0] % 2 == 0, 0, null, Arrays);
        var taken = whole.AppendData(input, out var ended);
        var cut = input[^1] % input.Length;
        var first = pieces.AppendData(input.AsSpan(0, cut), out var early);
        var second = early ? 0 : pieces.AppendData(input.AsSpan(cut), out early);
        if (early != ended || (ended && first + second != taken))
            throw new InvalidDataException("the end depends on how the octets come");
        var (a, b) = (whole.Finish(), pieces.Finish());
        if (ended && (!a.Message.Span.SequenceEqual(b.Message.Span) || a.Refusal?.Status != b.Refusal?.Status))
            throw new InvalidDataException("the message depends on how the octets come");
        if (ended && a.Refusal is null && MessageContent.HasBareNewline(a.Message.Span))
            throw new InvalidDataException("a bare CR or LF passed");
    }

    private static void Dns(byte[] input)
    {
        try
        {
            var message = DnsMessage.Parse(input);
            foreach (var record in message.Answer.Concat(message.Authority))
            {
                RrSignature.Read(record.Rdata);
                DnsKey.Read(record.Rdata);
                DelegationSigner.Read(record.Rdata);
                Nsec.Read(record);
                Nsec3.Read(record, message.QuestionName);
            }
        }
        catch (DnsFormatException) { }
    }

    private static void Policy(byte[] input)
    {
        var rdata = input.Chunk(255).SelectMany(c => (byte[])[(byte)c.Length, .. c]).ToArray();
        foreach (var octets in new[] { input, rdata })
        {
            try
            {
                PolicyRecord.Find([octets], "a.example");
            }
            catch (PolicyRecordException) { }
        }
    }

    private static void Certificates(byte[] input) =>
        Expect(() => Certificate.Read(input).Judge("pgptunnel@pgptunnel.b.example", Now));

    private static void Sealed(byte[] input) =>
        Expect(() => MessageOpener.Decrypt(input, [Key]).VerifiedBy(Peer, Now, out _));

    /// <summary>Packets inside an intact SEIPD: past the integrity check, where only a peer comes.</summary>
    private static void Inside(byte[] input) =>
        Expect(() =>
        {
            byte[] clear = [.. new byte[18], .. input, 0xD3, 0x14];
            clear = [.. clear, .. System.Security.Cryptography.SHA1.HashData(clear)];
            Cfb.Encrypt(Session.Key, clear);
            MessageOpener
                .Decrypt(
                    [
                        .. Session.Wrap(Peer.Encryption),
                        .. new PacketWriter().Packet(Tag.Seipd, [1, .. clear]).ToArray(),
                    ],
                    [Key]
                )
                .VerifiedBy(Peer, Now, out _);
        });

    private static void Armored(byte[] input) =>
        Expect(() =>
        {
            Armor.Count(Armor.Message, input);
            Armor.Decode(Armor.Message, input);
        });

    private static void Secret(byte[] input) => Expect(() => GatewayKey.ReadSecret(input, "x"));

    private static void Header(byte[] input)
    {
        foreach (var ours in new[] { false, true })
        {
            try
            {
                var (header, message) = ParcelBody.Read(input, ours);
                var (again, _) = ParcelBody.Read(
                    ParcelBody.Parts(header, [message]).SelectMany(p => p.ToArray()).ToArray(),
                    ours
                );
                if (
                    again.Id != header.Id
                    || !again.RcptTo.SequenceEqual(header.RcptTo)
                    || again.MailFrom != header.MailFrom
                )
                    throw new InvalidDataException("a header block does not survive being written");
            }
            catch (MalformedParcelException) { }
        }
    }

    private static void Outer(byte[] input)
    {
        OuterMessage.FindParcel(input);
        OuterMessage.DateOf(input);
    }

    private static void Report(byte[] input)
    {
        if (OuterMessage.Parse(input)?.Body is MultipartReport report)
            _ = report
                .OfType<MessageDeliveryStatus>()
                .SelectMany(s => s.StatusGroups)
                .Select(g => g["Action"])
                .ToList();
    }

    private static void Fields(byte[] input)
    {
        HeaderFields.LoopRefusal(input);
        HeaderFields.FromDomain(input);
        var left = HeaderFields
            .Without(input, (name, _) => name.StartsWith("PgpTunnel-", StringComparison.OrdinalIgnoreCase))
            .Sum(p => p.Length);
        if (left > input.Length || MessageContent.HeaderLength(input) > input.Length)
            throw new InvalidDataException("more came out than went in");
    }

    private static void Anchors(byte[] input)
    {
        try
        {
            TrustAnchors.Parse(Encoding.UTF8.GetString(input));
        }
        catch (FormatException) { }
    }

    private static void Expect(Action read)
    {
        try
        {
            read();
        }
        catch (Exception e) when (e is OpenPgpException or NoKeyException) { }
    }
}
