using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

public class InnerHeaderTests
{
    private static readonly InnerHeader Good = new()
    {
        Id = new string('0', 32),
        Date = new(2026, 9, 1, 10, 0, 0, TimeSpan.Zero),
        Expires = new(2026, 9, 8, 10, 0, 0, TimeSpan.Zero),
        Sender = ("a.example", new string('1', 40)),
        Recipient = ("b.example", new string('2', 40)),
        MailFrom = ReversePath.Parse("<alice@a.example>").Path!,
        RcptTo = [ForwardPath.Parse("<bob@b.example>", false).Path!],
        Size = 4,
    };

    public static TheoryData<string> Cases => Vectors.Lines("inner-headers.txt");

    [Theory, MemberData(nameof(Cases))]
    public void Each_change_has_its_consequence(string line)
    {
        var (left, right) = Vectors.Split(line);
        var text = Encoding.UTF8.GetString(Bodies.Write(Good, ["body"u8.ToArray()]));
        foreach (var change in left.Split(" & "))
        {
            var parts = change
                .Split("->", 2)
                .Select(p => p.Replace("\\r", "\r").Replace("\\n", "\n").Replace("\\t", "\t"))
                .ToArray();
            var (from, to) = (parts[0].TrimEnd(' '), parts[1].StartsWith(' ') ? parts[1][1..] : parts[1]);
            text = text.Replace(from, to, StringComparison.Ordinal);
        }
        string outcome;
        try
        {
            var (header, message) = ParcelBody.Read(Encoding.UTF8.GetBytes(text), ours: false);
            outcome = header.NotUnderstood is { } unknown ? $"unknown {unknown}" : "ok";
            Assert.Equal("body", Encoding.ASCII.GetString(message.Span));
        }
        catch (MalformedParcelException)
        {
            outcome = "malformed";
        }
        Assert.Equal(right, outcome);
    }

    [Fact]
    public void What_is_written_is_read()
    {
        var header = Good with
        {
            MailFrom = ReversePath.Parse("<älice@a.example> BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=a+2Bb").Path!,
            RcptTo =
            [
                .. Enumerable
                    .Range(0, 100)
                    .Select(i =>
                        ForwardPath.Parse($"<böb{i}@b.example> NOTIFY=SUCCESS,FAILURE ORCPT=utf-8;bö", true).Path!
                    ),
            ],
        };
        var (read, message) = ParcelBody.Read(Bodies.Write(header, ["bo"u8.ToArray(), "dy"u8.ToArray()]), ours: false);
        Assert.Equal("body", Encoding.ASCII.GetString(message.Span));
        Assert.Equal(header.MailFrom, read.MailFrom);
        Assert.Equal(header.RcptTo, read.RcptTo);
        Assert.Equal(
            (header.Id, header.Date, header.Expires, header.Sender, header.Recipient),
            (read.Id, read.Date, read.Expires, read.Sender, read.Recipient)
        );
    }

    [Fact]
    public void A_hundred_and_first_recipient_and_endless_blocks_are_malformed()
    {
        var many = Good with
        {
            RcptTo = [.. Enumerable.Range(0, 101).Select(i => ForwardPath.Parse($"<bob{i}@b.example>", false).Path!)],
        };
        Assert.Throws<MalformedParcelException>(() =>
            ParcelBody.Read(Bodies.Write(many, ["body"u8.ToArray()]), ours: false)
        );
        Assert.Throws<MalformedParcelException>(() =>
            ParcelBody.Read(
                Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("X-A: b\r\n", 50_000)) + "\r\n"),
                ours: false
            )
        );
        Assert.Throws<MalformedParcelException>(() =>
            ParcelBody.Read(Encoding.ASCII.GetBytes($"X-A: {new string('b', 1000)}\r\n\r\n"), ours: false)
        );
    }

    [Fact]
    public void Random_octets_are_malformed_and_nothing_worse()
    {
        var good = Bodies.Write(Good, ["body"u8.ToArray()]);
        var random = new System.Random(11);
        for (var i = 0; i < 20_000; i++)
        {
            var octets = (byte[])good.Clone();
            for (var j = random.Next(1, 5); j > 0; j--)
                octets[random.Next(600)] = (byte)random.Next(256);
            try
            {
                ParcelBody.Read(octets, ours: false);
            }
            catch (MalformedParcelException) { }
        }
    }

    [Fact]
    public void Padding_hides_the_length_within_its_bounds()
    {
        for (var length = 1; length < 200_000; length += length < 10_000 ? 1 : 97)
        {
            var padded = ParcelBody.PaddedLength(length);
            Assert.True(
                padded >= length
                    && padded >= 4096
                    && padded - length != 1
                    && padded <= Math.Max(4096 + 256, length * 1.125),
                $"{length} -> {padded}"
            );
        }
        Assert.Equal(
            [4096, 4096, 4352, 4352, 10240, 1048576],
            new[] { 1, 4096, 4095, 4097, 10000, 1048576 }.Select(ParcelBody.PaddedLength)
        );
        Assert.True(Enumerable.Range(4096, 1_000_000).Select(ParcelBody.PaddedLength).Distinct().Count() < 200);
    }

    [Theory]
    [InlineData("  \r\n", true)]
    [InlineData("", true)]
    [InlineData("  x\r\n", false)]
    [InlineData("\t\r\n", false)]
    [InlineData("\0", false)]
    public void Only_blanks_and_line_ends_pad(string padding, bool good)
    {
        var block = Good.Write();
        byte[] body = [.. block, .. "body"u8, .. Encoding.ASCII.GetBytes(padding)];
        if (good)
            ParcelBody.Read(body, ours: false);
        else
            Assert.Throws<MalformedParcelException>(() => ParcelBody.Read(body, ours: false));
    }
}
