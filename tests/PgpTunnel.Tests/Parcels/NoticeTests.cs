using System.Text;
using System.Text.RegularExpressions;
using MimeKit;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>Delivery reports as the gateway writes them; the cases are files in Notices/.</summary>
public sealed class NoticeTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("pgptunnel-notice-").FullName;

    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Notices");

    public static TheoryData<string> Cases =>
        [
            .. Directory
                .GetFiles(Folder, "*.txt")
                .Select(f => Path.GetFileNameWithoutExtension(f))
                .Where(n => n != "README"),
        ];

    public void Dispose() => Directory.Delete(_folder, true);

    [Theory, MemberData(nameof(Cases))]
    public async Task Each_is_what_RFC_3464_wants(string name)
    {
        var lines = File.ReadAllLines(Path.Combine(Folder, $"{name}.txt"))
            .Where(l => l.Length > 0 && l[0] != '#')
            .Select(Repeated)
            .Select(l => (Key: l[..l.IndexOf(':')], Value: l[(l.IndexOf(':') + 1)..].Trim()))
            .ToLookup(l => l.Key, l => l.Value);
        var report = Write(lines);
        Assert.Equal(lines["expect"].Contains("none"), report is null);
        if (report is null)
            return;
        var eightBit = lines["octets"].Contains("8bit");
        Assert.Equal(eightBit, report.AsSpan().ContainsAnyInRange((byte)0x80, (byte)0xFF));
        Assert.All(Encoding.Latin1.GetString(report).Split("\r\n"), l => Assert.True(l.Length <= 998, l));
        var parts = await ReadAsync(report, eightBit);
        AssertFields(parts[1], lines["action"].Single());
        var said = parts.SelectMany(p => Regex.Replace(p, "\r\n[ \t]", " ").Split("\r\n")).ToList();
        Assert.All(lines["has"], l => Assert.Contains(l, said));
        Assert.All(lines["never"], l => Assert.DoesNotContain(l, said));
    }

    private byte[]? Write(ILookup<string, string> lines)
    {
        var from = ReversePath.Parse(lines["from"].Single()).Path!;
        var outcomes = lines["to"]
            .Select(l => l.Split(" | "))
            .Select(l => (ForwardPath.Parse(l[0], from.SmtpUtf8).Path!, SmtpReply.Parse(l[1].Split(" / "))))
            .ToList();
        var message =
            string.Concat(lines["header"].Select(h => $"{h}\r\n")) + "\r\nthe body, which is nobody's business\r\n";
        var file = Path.Combine(_folder, "pgptunnel.json");
        File.WriteAllText(file, """{ "domains": ["a.example"] }""");
        return Notice
            .Build(
                ConfigurationReader.Read(file),
                Enum.Parse<NoticeAction>(lines["action"].Single(), ignoreCase: true),
                from,
                outcomes,
                [Encoding.UTF8.GetBytes(message)],
                DateTimeOffset.UnixEpoch,
                lines["remark"].SingleOrDefault()
            )
            ?.ToArray();
    }

    /// <summary>The three parts of RFC 3462 in their order, decoded.</summary>
    private static async Task<List<string>> ReadAsync(byte[] report, bool eightBit)
    {
        var parsed = await MimeMessage.LoadAsync(new MemoryStream(report), TestContext.Current.CancellationToken);
        var multipart = Assert.IsType<MultipartReport>(parsed.Body);
        Assert.Equal(eightBit ? "global-delivery-status" : "delivery-status", multipart.ReportType);
        Assert.Equal(
            eightBit
                ? ["text/plain", "message/global-delivery-status", "message/global-headers"]
                : ["text/plain", "message/delivery-status", "text/rfc822-headers"],
            multipart.Select(p => p.ContentType.MimeType)
        );
        Assert.DoesNotContain("nobody's business", Encoding.UTF8.GetString(report));
        return [.. multipart.Select(Decoded)];
    }

    private static string Decoded(MimeEntity entity)
    {
        using var whole = new MemoryStream();
        entity.WriteTo(FormatOptions.Default, whole, contentOnly: true, TestContext.Current.CancellationToken);
        using var text = new MemoryStream();
        using (var filtered = new MimeKit.IO.FilteredStream(text))
        {
            if (entity.Headers[HeaderId.ContentTransferEncoding] is "quoted-printable")
                filtered.Add(MimeKit.IO.Filters.DecoderFilter.Create(ContentEncoding.QuotedPrintable));
            filtered.Write(whole.ToArray());
            filtered.Flush();
        }
        return Encoding.UTF8.GetString(text.ToArray()).ReplaceLineEndings("\r\n");
    }

    /// <summary>One group about the message, one a recipient, each with what it must have (RFC 3464 2.2, 2.3).</summary>
    private static void AssertFields(string status, string action)
    {
        var groups = status.TrimEnd().Split("\r\n\r\n");
        Assert.StartsWith("Reporting-MTA: dns; ", groups[0]);
        Assert.True(groups.Length > 1);
        Assert.All(
            groups[1..],
            g =>
            {
                Assert.Single(Regex.Matches(g, @"^Final-Recipient: (rfc822|utf-8); \S", RegexOptions.Multiline));
                Assert.Single(Regex.Matches(g, $"^Action: {action}\r?$", RegexOptions.Multiline));
                Assert.Single(Regex.Matches(g, @"^Status: [245]\.\d{1,3}\.\d{1,3}\r?$", RegexOptions.Multiline));
                Assert.Single(Regex.Matches(g, @"^Diagnostic-Code: smtp; \d{3} ", RegexOptions.Multiline));
            }
        );
    }

    private static string Repeated(string line) =>
        Regex.Replace(line, @"(.)×(\d+)", m => new string(m.Groups[1].Value[0], int.Parse(m.Groups[2].Value)));
}
