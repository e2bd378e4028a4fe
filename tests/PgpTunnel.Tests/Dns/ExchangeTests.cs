using System.Net;
using System.Net.Sockets;
using PgpTunnel.Dns;

namespace PgpTunnel.Tests;

public class ExchangeTests
{
    /// <summary>Answers of others, to other questions, and garbage come first; only the right one counts.</summary>
    [Fact]
    public async Task Wrong_datagrams_are_ignored_not_fatal()
    {
        using var server = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        server.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var serving = Task.Run(async () =>
        {
            var buffer = new byte[512];
            var got = await server.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0));
            var query = buffer[..got.ReceivedBytes];
            var right = (byte[])query.Clone();
            right[2] |= 0x80;
            var wrongId = (byte[])right.Clone();
            wrongId[0] ^= 0xFF;
            var wrongQuestion = (byte[])right.Clone();
            wrongQuestion[13] ^= 0x01;
            foreach (var datagram in new[] { [1, 2, 3], wrongId, wrongQuestion, query, right })
                await server.SendToAsync(datagram, got.RemoteEndPoint);
        });
        var answer = await new DnsExchange([(IPEndPoint)server.LocalEndPoint!]).AskAsync(
            DomainName.Parse("b.example"),
            RecordType.TXT,
            CancellationToken.None
        );
        await serving;
        Assert.Equal("b.example", answer.QuestionName.ToString());
        Assert.True(answer.IsResponse);
    }

    [Fact]
    public async Task No_resolver_that_answers_is_unavailable_and_names_it()
    {
        using var closed = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        closed.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var address = (IPEndPoint)closed.LocalEndPoint!;
        closed.Close();
        var e = await Assert.ThrowsAsync<DnsUnavailableException>(() =>
            new DnsExchange([address]).AskAsync(DomainName.Parse("b.example"), RecordType.TXT, CancellationToken.None)
        );
        Assert.Contains(address.ToString(), e.Message);
    }

    /// <summary>The only resolver starts anew: for a moment nobody is at its port.</summary>
    [Fact]
    public async Task A_resolver_that_starts_anew_is_asked_again()
    {
        using var reserved = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        reserved.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var address = (IPEndPoint)reserved.LocalEndPoint!;
        reserved.Close();
        var asking = new DnsExchange([address]).AskAsync(
            DomainName.Parse("b.example"),
            RecordType.TXT,
            CancellationToken.None
        );
        using var server = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        await Task.Delay(100); // the first attempt has met a closed port; where the machine was slower, this one is the first
        server.Bind(address);
        var buffer = new byte[512];
        var got = await server.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0));
        buffer[2] |= 0x80;
        await server.SendToAsync(buffer.AsMemory(0, got.ReceivedBytes), got.RemoteEndPoint);
        Assert.True((await asking).IsResponse);
    }

    [Fact]
    public void Random_octets_never_throw_anything_but_DnsFormatException()
    {
        var random = new System.Random(1);
        for (var i = 0; i < 20_000; i++)
        {
            var octets = new byte[random.Next(0, 200)];
            random.NextBytes(octets);
            if (octets.Length > 12)
                (octets[4], octets[5]) = (0, 1);
            try
            {
                DnsMessage.Parse(octets);
            }
            catch (DnsFormatException) { }
        }
    }
}

public class DomainNameTests
{
    [Theory]
    [InlineData("B.Example.", "b.example")]
    [InlineData("a\\.b.example", "a\\.b.example")]
    [InlineData("\\000x.example", "\\000x.example")]
    [InlineData("xn--bcher-kva.example", "xn--bcher-kva.example")]
    [InlineData("bücher.example", "xn--bcher-kva.example")]
    public void Parses(string text, string normal) => Assert.Equal(normal, DomainName.Parse(text).ToString());

    public static TheoryData<string> InternationalNames => Vectors.Lines("international-names.txt");

    [Theory, MemberData(nameof(InternationalNames))]
    public void U_labels_are_taken_by_IDNA_2008_or_not_at_all(string line)
    {
        var (left, right) = Vectors.Split(line);
        var name = System.Text.RegularExpressions.Regex.Replace(
            left,
            @"\\u(....)",
            m => ((char)Convert.ToInt32(m.Groups[1].Value, 16)).ToString()
        );
        Assert.Equal(right, DomainName.TryParse(name, out var parsed) ? parsed.ToString() : "none");
    }

    [Theory]
    [InlineData("")]
    [InlineData("a..example")]
    [InlineData(".example")]
    [InlineData("a b.example")]
    [InlineData("a\\")]
    [InlineData("mu\u0308ller.example")]
    [InlineData("\uFF41.example")]
    [InlineData("a\u200Db.example")]
    public void Refuses(string text) => Assert.Throws<FormatException>(() => DomainName.Parse(text));

    [Fact]
    public void Labels_of_64_octets_and_names_of_256_are_refused()
    {
        Assert.Throws<FormatException>(() => DomainName.Parse(new string('a', 64) + ".example"));
        Assert.Throws<FormatException>(() =>
            DomainName.Parse(string.Join('.', Enumerable.Repeat(new string('a', 62), 5)))
        );
    }

    /// <summary>The example of RFC 4034 6.1.</summary>
    [Fact]
    public void Canonical_order()
    {
        string[] order =
        [
            "example",
            "a.example",
            "yljkjljk.a.example",
            "Z.a.example",
            "zABC.a.EXAMPLE",
            "z.example",
            "\\001.z.example",
            "*.z.example",
            "\\200.z.example",
        ];
        var names = order.Select(DomainName.Parse).ToList();
        Assert.Equal(names, names.AsEnumerable().Reverse().Order());
    }

    [Fact]
    public void Within_counts_whole_labels()
    {
        Assert.True(DomainName.Parse("x.b.example").IsWithin(DomainName.Parse("b.example")));
        Assert.False(DomainName.Parse("a.b").IsWithin(DomainName.Parse("long.example")));
        Assert.False(DomainName.Parse("xb.example").IsWithin(DomainName.Parse("b.example")));
    }
}

public class TrustAnchorsTests
{
    [Fact]
    public void Ds_and_dnskey_lines_are_read_and_bad_ones_named()
    {
        Assert.NotNull(
            TrustAnchors.Parse(
                "; comment\n. 3600 IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D084 "
                    + "58E880409BBC683457104237C7F8EC8D\nexample. IN DNSKEY 257 3 13 AAAA"
            )
        );
        Assert.Contains(
            "line 2",
            Assert.Throws<FormatException>(() => TrustAnchors.Parse(". IN DS 1 8 2 00\n. IN A 127.0.0.1")).Message
        );
        Assert.Throws<FormatException>(() => TrustAnchors.Parse(""));
    }
}
