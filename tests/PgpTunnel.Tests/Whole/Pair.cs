using System.Net;
using PgpTunnel.Demo;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>Companies A and B and a hop between them.</summary>
internal sealed class Pair : IAsyncDisposable
{
    private readonly List<Seen> _hopSaw = [];
    private readonly SmtpSender _hop = new(() => "hop.example");

    private Pair(int days) => World = new TestWorld(days);

    public TestWorld World { get; }
    public Company A { get; private set; } = null!;
    public Company B { get; private set; } = null!;

    /// <summary>What the hop answers instead of passing on; null = it passes on.</summary>
    public Func<Seen, SmtpReply?> HopAnswer { get; set; } = _ => null;

    /// <summary>Further gateways the hop knows, by gateway domain.</summary>
    public Dictionary<string, Company> Elsewhere { get; } = [];

    /// <summary>What the hop answers to a recipient; null = it takes it.</summary>
    public Func<ForwardPath, SmtpReply?> HopRecipient { get; set; } = _ => null;

    public IReadOnlyList<Seen> HopSaw
    {
        get
        {
            lock (_hopSaw)
                return [.. _hopSaw];
        }
    }

    public IPEndPoint HopAddress { get; private set; } = null!;

    public static async Task<Pair> CreateAsync(
        string moreA = "",
        string moreB = "",
        string? policyB = null,
        bool publishB = true,
        bool publishA = true,
        int days = 30
    )
    {
        var pair = new Pair(days);
        var (hop, _) = await pair.World.ServerAsync(pair.PassAsync, r => pair.HopRecipient(r));
        pair.HopAddress = hop.EndPoint;
        pair.B = await pair.World.AddCompanyAsync("b.example", hop.EndPoint, moreB, publishB, policyB);
        pair.A = await pair.World.AddCompanyAsync("a.example", hop.EndPoint, moreA, publishA);
        return pair;
    }

    internal async Task<SmtpReply> PassAsync(Seen seen)
    {
        lock (_hopSaw)
            _hopSaw.Add(seen);
        if (HopAnswer(seen) is { } answer)
            return answer;
        var domain = seen.To[0].Mailbox.Domain;
        var next =
            domain == "pgptunnel.b.example" ? B
            : domain == "pgptunnel.a.example" ? A
            : Elsewhere.GetValueOrDefault(domain);
        return next is null
            ? SmtpReply.Ok
            : (
                await _hop.SendAsync(
                    new SmtpTarget("next", next.Gateway.InboundServer!.EndPoint, TlsMode.Opportunistic),
                    seen.From,
                    seen.To,
                    [seen.Message],
                    CancellationToken.None
                )
            )[0];
    }

    /// <summary>The header block of a good parcel from A for B, to be made wrong in one way.</summary>
    /// <param name="size">Octets of the message behind it.</param>
    public InnerHeader Header(string rcpt, int size) =>
        new()
        {
            Id = ParcelLife.NewId(),
            Date = World.Time.GetUtcNow(),
            Expires = World.Time.GetUtcNow().AddDays(7),
            Sender = ("a.example", A.Key.Fingerprint),
            Recipient = ("b.example", B.Key.Fingerprint),
            MailFrom = ReversePath.Parse("<alice@a.example>").Path!,
            RcptTo = [ForwardPath.Parse(rcpt, false).Path!],
            Size = size,
        };

    public async ValueTask DisposeAsync()
    {
        await World.DisposeAsync();
        await _hop.DisposeAsync();
    }
}
