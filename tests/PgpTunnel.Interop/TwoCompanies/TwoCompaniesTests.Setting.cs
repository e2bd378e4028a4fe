using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using PgpTunnel.Demo;
using PgpTunnel.Smtp;

namespace PgpTunnel.Interop;

/// <summary>What the two have and run.</summary>
public sealed partial class TwoCompaniesTests
{
    private readonly List<IAsyncDisposable> _parts = [];
    private readonly List<Seen> _received = [];
    private Operators _operators = null!;
    private Postfix _postfixA = null!,
        _hop = null!;
    private Daemon? _gatewayA,
        _gatewayB;

    private T Keep<T>(T part)
        where T : IAsyncDisposable
    {
        _parts.Add(part);
        return part;
    }

    private async Task SetUpAsync()
    {
        Need.Programs("postfix", "swaks", "tcpdump", "openssl");
        _operators = Keep(await Operators.SetUpAsync(resolver: DnsWorld.Validating));
        var capture = Keep(
            SmtpServer.Listen(
                new IPEndPoint(IPAddress.Loopback, 0),
                new SmtpServerOptions { Hostname = "mailbox.b.example", MessageSize = 100_000_000 },
                new CapturingServer(seen =>
                {
                    lock (_received)
                        _received.Add(seen);
                    return Task.FromResult(SmtpReply.Ok);
                })
            )
        );
        foreach (
            var (company, address, local) in new[]
            {
                ("a", "127.0.61.2", "127.0.61.1"),
                ("b", "127.0.61.4", "127.0.61.5"),
            }
        )
            _operators.Change(
                company,
                c =>
                {
                    c["listen"] = new JsonObject
                    {
                        ["outbound"] = new JsonObject { ["address"] = $"{address}:10025" },
                        ["inbound"] = new JsonObject { ["address"] = $"{address}:10020" },
                    };
                    c["deliver"] = new JsonObject { ["local"] = $"{local}:10026", ["relay"] = "127.0.61.3:2525" };
                    c["receipts"] = new JsonObject { ["every"] = "00:00:01" };
                    c["retry"] = new JsonObject { ["first"] = "00:00:01", ["longest"] = "00:00:02" };
                }
            );
        // The mail servers of both companies use the samples, their addresses put in.
        async Task<Postfix> CompanyAsync(string name, string partner, string own, string gateway, string mailboxes) =>
            Keep(
                await Postfix.StartAsync(
                    name,
                    own,
                    Sample("main.cf").Replace("message_size_limit = 52428800", "")
                        + $"\nrelay_domains = {name}.example\n",
                    Sample("master.cf").Replace("127.0.0.1:10026", $"{own}:10026"),
                    new Dictionary<string, string>
                    {
                        ["pgptunnel_transport"] =
                            Sample("pgptunnel_transport")
                                .Replace("b.example ", $"{partner}.example ")
                                .Replace("[127.0.0.1]:10025", $"[{gateway}]:10025")
                            + $"{name}.example smtp:{mailboxes}\nelsewhere.example smtp:{mailboxes}\n",
                        ["pgptunnel_header_checks"] = Sample("pgptunnel_header_checks"),
                    }
                )
            );
        var mailbox = $"[127.0.0.1]:{capture.EndPoint.Port}";
        _postfixA = await CompanyAsync("a", "b", "127.0.61.1", "127.0.61.2", mailbox);
        await CompanyAsync("b", "a", "127.0.61.5", "127.0.61.4", mailbox);
        _hop = Keep(
            await Postfix.StartAsync(
                "hop",
                "127.0.61.3",
                "transport_maps = texthash:/etc/postfix/transport\nrelay_domains = pgptunnel.a.example pgptunnel.b.example\n",
                "",
                new Dictionary<string, string>
                {
                    ["transport"] =
                        "pgptunnel.a.example smtp:[127.0.61.2]:10020\npgptunnel.b.example smtp:[127.0.61.4]:10020\n",
                }
            )
        );
        _gatewayA = Keep(await StartGatewayAsync("a"));
    }

    private async Task<Daemon> StartGatewayAsync(string company)
    {
        var gateway = new Daemon(Run.Gateway, ["run", "--config", _operators.Config(company)]);
        await gateway.WaitForAsync("ready outbound=");
        Assert.Contains("armed=true", gateway.Log);
        return gateway;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var part in Enumerable.Reverse(_parts))
            await part.DisposeAsync();
    }
}
