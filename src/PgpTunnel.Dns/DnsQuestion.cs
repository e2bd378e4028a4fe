using System.Net.Sockets;

namespace PgpTunnel.Dns;

/// <summary>How a question travels.</summary>
internal enum DnsTransport
{
    Udp,
    Tcp,
}

/// <summary>
/// One question on its way: each resolver in turn, over UDP and then over TCP, each failure tried once more before it counts. An answer
/// that is cut short, or that its judge does not like, leads on to the next; an rcode is an answer about the resolver, which leads on to
/// the next one.
/// </summary>
/// <param name="setAside">Told of a resolver that is at fault itself, and why.</param>
internal sealed class DnsQuestion(
    DomainName name,
    ushort type,
    IReadOnlyList<DnsResolver> resolvers,
    Action<DnsResolver, string> setAside
) : DnsInquiry
{
    private const int FormErr = 1,
        ServFail = 2,
        NxDomain = 3,
        NotImp = 4,
        Refused = 5,
        BadVers = 16;

    private readonly List<(DnsResolver Resolver, string Why)> _failures = [];
    private readonly List<DnsResolver> _doubted = [];

    // RFC 7929 2: an OPENPGPKEY answer will not fit into a datagram.
    private readonly Queue<(DnsResolver Resolver, DnsTransport Transport)> _steps = new(
        resolvers.SelectMany(r =>
            type == RecordType.OPENPGPKEY
                ? new[] { (r, DnsTransport.Tcp) }
                : [(r, DnsTransport.Udp), (r, DnsTransport.Tcp)]
        )
    );

    private DnsResolver? _current;
    private int _rcode = ServFail;

    /// <summary>The next answer with NOERROR or NXDOMAIN, whole.</summary>
    /// <exception cref="DnsUnavailableException">There is none left; it names every resolver with what came of it.</exception>
    public override async Task<DnsMessage> NextAsync(CancellationToken cancel)
    {
        while (_steps.TryDequeue(out var step))
        {
            _current = step.Resolver;
            try
            {
                var answer = await AskTwiceAsync(step.Resolver, step.Transport, cancel);
                if (answer.Rcode is 0 or NxDomain && !answer.IsBare)
                    return answer;
                About(step.Resolver, answer.Rcode);
            }
            catch (Exception e) when (e is SocketException or IOException or DnsFormatException or TimeoutException)
            {
                Note($"{e.Message} over {step.Transport.ToString().ToUpperInvariant()}");
                if (!_steps.Any(s => s.Resolver == step.Resolver))
                    setAside(step.Resolver, WhyOf(step.Resolver));
            }
        }
        throw new DnsUnavailableException(
            resolvers.Count == 0
                ? "no resolver is configured and the system names none"
                : $"no resolver answers as it must ({string.Join("; ", resolvers.Select(r => $"{r.Address}: {WhyOf(r)}"))})",
            _rcode
        );
    }

    private static readonly TimeSpan Restart = TimeSpan.FromMilliseconds(300);

    private async Task<DnsMessage> AskTwiceAsync(DnsResolver resolver, DnsTransport transport, CancellationToken cancel)
    {
        try
        {
            var first = await resolver.AskAsync(name, type, transport, cancel);
            if (first.Rcode != ServFail)
                return first;
        }
        catch (Exception e) when (e is TimeoutException && transport == DnsTransport.Udp || e is IOException)
        {
            // A datagram may be lost, a connection closed (RFC 7766 6.2.4); a resolver that was busy may not be any more.
        }
        catch (SocketException)
        {
            await Task.Delay(Restart, cancel); // nobody is there in this moment: it may be starting anew
        }
        return await resolver.AskAsync(name, type, transport, cancel);
    }

    private void About(DnsResolver resolver, int rcode)
    {
        _rcode = rcode;
        var (why, unfit) = rcode switch
        {
            0 or NxDomain => ("answers without a question", false),
            FormErr or NotImp or BadVers => (
                $"answers {RcodeName(rcode)}: it has no EDNS, and so no DNSSEC (RFC 6891 7)",
                true
            ),
            Refused => ("answers REFUSED: it does not serve this machine", true),
            _ => ($"answers {RcodeName(rcode)}", false),
        };
        Note(why);
        Leave(resolver);
        if (unfit)
            setAside(resolver, why);
    }

    /// <summary>The resolver that answered last does not do what is needed, over this transport.</summary>
    public override void Unfit(string why)
    {
        Note(why);
        if (!_steps.Any(s => s.Resolver == _current))
            setAside(_current!, why);
    }

    /// <summary>The last answer is not right; it may be the resolver, or the zone.</summary>
    public override void Wrong(string why)
    {
        Note(why);
        _doubted.Add(_current!);
    }

    /// <summary>The last answer was right: so the resolvers that gave others are to blame for theirs.</summary>
    public override void Right()
    {
        foreach (var resolver in _doubted.Where(r => r != _current).Distinct())
            setAside(
                resolver,
                $"its answer does not validate, and that of {_current!.Address} does: {WhyOf(resolver)}"
            );
    }

    private void Leave(DnsResolver resolver)
    {
        while (_steps.TryPeek(out var next) && next.Resolver == resolver)
            _steps.Dequeue();
    }

    private void Note(string why) => _failures.Add((_current!, why));

    private string WhyOf(DnsResolver resolver) =>
        string.Join(", ", _failures.Where(f => f.Resolver == resolver).Select(f => f.Why).Distinct());

    public static string RcodeName(int rcode) =>
        rcode switch
        {
            FormErr => "FORMERR",
            ServFail => "SERVFAIL",
            NotImp => "NOTIMP",
            Refused => "REFUSED",
            6 => "YXDOMAIN",
            BadVers => "BADVERS",
            _ => $"rcode {rcode}",
        };
}
