using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using PgpTunnel.Demo;
using PgpTunnel.Smtp;

namespace PgpTunnel.Interop;

/// <summary>
/// What the documents speak of, as far as one machine can have it: gateways A and B, each beside a mail server, that find each other by
/// MX, on port 25 of loopback addresses. Command lines are typed at A's, in its folder, which has the part of /etc/pgptunnel.
/// <code>  mail server - gateway A 127.0.53.21  &lt;->  gateway B 127.0.53.22 - mail server      DNS: nsd + unbound  </code>
/// </summary>
internal sealed partial class DocumentedWorld : IAsyncDisposable
{
    private const string Original =
        "From: alice@a.example\r\nTo: bob@b.example\r\nMessage-ID: <20261127.1@a.example>\r\nSubject: s\r\n\r\nbody\r\n";

    private static readonly TimeSpan Later = TimeSpan.FromDays(2);
    private readonly PlainServer _mailA = new(),
        _mailB = new();
    private Operators _operators = null!;
    private Daemon? _a,
        _b;

    private string A => Path.GetDirectoryName(_operators.Config("a"))!;

    /// <summary>For what is elsewhere on the machine.</summary>
    private string Elsewhere => Path.Combine(_operators.Directory, "elsewhere");

    public static async Task<DocumentedWorld> OpenAsync()
    {
        Need.Root(); // port 25
        Need.Programs("sh", "gpg");
        var world = new DocumentedWorld
        {
            _operators = await Operators.SetUpAsync(more: company =>
                $"\ngw.{company}.example. A 127.0.53.2{(company == "a" ? 1 : 2)}\n"
            ),
        };
        try
        {
            await world.BeginAsync();
            return world;
        }
        catch
        {
            await world.DisposeAsync();
            throw;
        }
    }

    private async Task BeginAsync()
    {
        Directory.CreateDirectory(Path.Combine(Elsewhere, "safe"));
        await File.WriteAllTextAsync(Path.Combine(Elsewhere, "passphrase"), "a passphrase\n");
        await File.WriteAllTextAsync(Path.Combine(A, "original.eml"), Original);
        Configure("a", _mailA);
        Configure("b", _mailB);
        await StartAsync();
        _b = new Daemon(Run.Gateway, ["run", "--config", _operators.Config("b")]);
        await _b.WaitForAsync("armed=true");
        (await TypeAsync($"pgptunnel key backup {Path.Combine(Elsewhere, "keys")}")).Expect(0);
        await SendAsync();
        await Wait.UntilAsync(() => _mailB.Taken > 0, () => _b.Log);
        (
            await BAsync(
                "evidence",
                "export",
                "--message-id",
                "20261127.1@a.example",
                "--output",
                Path.Combine(A, "theirs.tar")
            )
        ).Expect(0);
    }

    private Task<Finished> BAsync(params string[] arguments) =>
        Run.PgpTunnelAsync([.. arguments, "--config", _operators.Config("b")]);

    private void Configure(string company, PlainServer mail) =>
        _operators.Change(
            company,
            c =>
            {
                var address = $"127.0.53.2{(company == "a" ? 1 : 2)}";
                c["listen"] = new JsonObject
                {
                    ["outbound"] = new JsonObject { ["address"] = $"{address}:10025" },
                    ["inbound"] = new JsonObject { ["address"] = $"{address}:25" },
                };
                c["deliver"] = new JsonObject { ["local"] = mail.EndPoint.ToString() };
                c["receipts"] = new JsonObject { ["every"] = "00:00:01" };
                c["policy"] = new JsonObject
                {
                    ["partners"] = new JsonObject
                    {
                        [company == "a" ? "b.example" : "a.example"] = new JsonObject { ["echo"] = true },
                    },
                };
            }
        );

    private async Task StartAsync()
    {
        _a = new Daemon(Run.Gateway, ["run", "--config", _operators.Config("a")]);
        await _a.WaitForAsync("armed=true");
    }

    private static async Task SendAsync()
    {
        var reply = (
            await new SmtpSender(() => "mail.a.example").SendAsync(
                new SmtpTarget("gateway-a", new IPEndPoint(IPAddress.Parse("127.0.53.21"), 10025), TlsMode.None),
                new ReversePath(new Mailbox("alice", "a.example")),
                [new ForwardPath(new Mailbox("bob", "b.example"))],
                [Encoding.ASCII.GetBytes(Original)],
                CancellationToken.None
            )
        )[0];
        Assert.True(reply.IsPositive, reply.ToString());
    }

    /// <summary>Types a command line of a document, with this world's names in it.</summary>
    public async Task<Finished> TypeAsync(string command)
    {
        if (command.StartsWith("systemctl ", StringComparison.Ordinal))
            return await ServiceAsync(command);
        var fingerprint = Path.GetFileNameWithoutExtension(_operators.KeyFile("b"));
        var typed = Fingerprint()
            .Replace(command, fingerprint)
            .Replace("/mnt/safe", Path.Combine(Elsewhere, "safe"), StringComparison.Ordinal)
            .Replace("/root/backup-passphrase", Path.Combine(Elsewhere, "passphrase"), StringComparison.Ordinal)
            .Replace("/var/lib/pgptunnel", A, StringComparison.Ordinal)
            .Replace("/var/tmp/rescued", Path.Combine(Elsewhere, "rescued"), StringComparison.Ordinal)
            .Replace(
                "--directory /etc/pgptunnel",
                $"--directory {Path.Combine(Elsewhere, "restored")}",
                StringComparison.Ordinal
            );
        if (typed.StartsWith("mv ", StringComparison.Ordinal))
            typed = typed.Replace("/root/", $"{Elsewhere}/", StringComparison.Ordinal);
        var now = TimeProvider.System.GetUtcNow();
        typed = Time()
            .Replace(
                typed,
                t => $"{t.Groups[1]} {now + (t.Groups[1].Value == "--until" ? Later : default):yyyy-MM-ddTHH:mm:ssZ}"
            );
        if (typed.StartsWith("pgptunnel setup ", StringComparison.Ordinal))
            typed =
                $"PGPTUNNEL__DNS__RESOLVERS='[\"{DnsWorld.Plain}\"]' PGPTUNNEL__DNS__TRUSTANCHORS={_operators.Dns.Anchors} "
                + $"{typed} --directory {Path.Combine(Elsewhere, "new")}";
        if (typed.StartsWith("pgptunnel dns proof ", StringComparison.Ordinal))
            typed += " --config pgptunnel.json"; // the system's resolvers know nothing of this world
        if (
            typed.StartsWith("pgptunnel evidence verify ", StringComparison.Ordinal)
            || typed.StartsWith("pgptunnel dns verify ", StringComparison.Ordinal)
        )
            typed += $" --trust-anchor {_operators.Dns.Anchors}"; // the world's own are built in
        return await Run.ProgramAsync(
            Need.Program("sh"),
            ["-c", typed],
            environment: new Dictionary<string, string>
            {
                ["PATH"] = $"{AppContext.BaseDirectory}:{Environment.GetEnvironmentVariable("PATH")}",
            },
            directory: A
        );
    }

    /// <summary>What an administrator does to the service.</summary>
    private async Task<Finished> ServiceAsync(string command)
    {
        var isStopped = _a is null;
        if (command == "systemctl stop pgptunnel")
        {
            Assert.Equal(0, await _a!.StopAsync());
            await _a.DisposeAsync();
            _a = null;
        }
        else if (isStopped)
            await StartAsync();
        return new(0, [], "");
    }

    /// <summary>A line that a command printed, or of which a document says so, without what differs from run to run.</summary>
    public string Plain(string line)
    {
        var plain = line.Replace(Path.Combine(Elsewhere, "new"), "/etc/pgptunnel", StringComparison.Ordinal)
            .Replace("/var/lib/pgptunnel", "/etc/pgptunnel", StringComparison.Ordinal)
            .Replace(Path.Combine(Elsewhere, "safe"), "/mnt/safe", StringComparison.Ordinal)
            .Replace("systemctl enable --now pgptunnel", "pgptunnel run", StringComparison.Ordinal);
        return Differing().Replace(OwnConfiguration().Replace(plain, ""), "#").Trim();
    }

    [GeneratedRegex(@" --config [^\s']+")]
    private static partial Regex OwnConfiguration();

    /// <summary>Hexadecimal text, a certificate's, what is in brackets, numbers; and spaces.</summary>
    [GeneratedRegex(@"[0-9a-f]{32,}|(?<=OPENPGPKEY )\S+|\([^()]*\)|[0-9]+|\s+")]
    private static partial Regex Differing();

    [GeneratedRegex("[0-9a-f]{40}")]
    private static partial Regex Fingerprint();

    [GeneratedRegex(@"(--at|--until) \S+")]
    private static partial Regex Time();

    public async ValueTask DisposeAsync()
    {
        foreach (var part in new IAsyncDisposable?[] { _a, _b, _mailA, _mailB, _operators })
            if (part is not null)
                await part.DisposeAsync();
    }
}
