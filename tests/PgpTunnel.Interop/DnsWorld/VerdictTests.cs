using System.Net;
using System.Text.Json;
using PgpTunnel.Dns;

namespace PgpTunnel.Interop;

/// <summary>The verdict on each zone of a real signed world, through a resolver that does not validate and through one that does.</summary>
public sealed class VerdictTests : IAsyncLifetime
{
    private DnsWorld _world = null!;

    public async ValueTask InitializeAsync() => _world = await DnsWorld.StartAsync();

    public ValueTask DisposeAsync() => _world is null ? ValueTask.CompletedTask : _world.DisposeAsync();

    // name type verdict outcome
    private static readonly string[] Cases =
    [
        "_pgptunnel.a.example TXT Secure Answer",
        "_pgptunnel.b.example TXT Secure Answer",
        "_pgptunnel.rsa.example TXT Secure Answer",
        "_pgptunnel.ed448.example TXT Secure Answer",
        "_pgptunnel.sub.a.example TXT Secure Answer",
        "_pgptunnel.s.oo.example TXT Secure Answer",
        "_PGPTUNNEL.A.EXAMPLE TXT Secure Answer",
        "mixed.a.example TXT Secure Answer",
        "bin.a.example TXT Secure Answer",
        "a.example MX Secure Answer",
        "a.example SRV Secure NoData",
        "nope.a.example TXT Secure NxDomain",
        "nope.b.example TXT Secure NxDomain",
        "nope.rsa.example TXT Secure NxDomain",
        "b.example SRV Secure NoData",
        "rsa.example SRV Secure NoData",
        "ent.a.example TXT Secure NoData",
        "ent.b.example TXT Secure NoData",
        "x.ent.rsa.example TXT Secure Answer",
        "any.wild.a.example TXT Secure Answer",
        "any.wild.b.example TXT Secure Answer",
        "any.wild.rsa.example TXT Secure Answer",
        "here.wild.b.example TXT Secure Answer",
        "any.wild.a.example MX Secure NoData",
        "big.a.example TXT Secure Answer",
        "big.b.example TXT Secure Answer",
        "alias.a.example TXT Secure Answer",
        "aliasnx.a.example TXT Secure NxDomain",
        "_pgptunnel.dn.a.example TXT Secure Answer",
        "nope.dn.a.example TXT Secure NxDomain",
        "q.wc.a.example TXT Secure Answer",
        "aliasins.a.example TXT Insecure Answer",
        "_pgptunnel.ins.example TXT Insecure Answer",
        "nope.ins.example TXT Insecure NxDomain",
        "_pgptunnel.u.oo.example TXT Insecure Answer",
        "_pgptunnel.unkalg.example TXT Insecure Answer",
        "_pgptunnel.sha1.example TXT Insecure Answer",
        "nope.oo.example TXT Insecure NxDomain",
        "_pgptunnel.expired.example TXT Bogus Failure",
        "_pgptunnel.future.example TXT Bogus Failure",
        "_pgptunnel.badsig.example TXT Bogus Failure",
        "_pgptunnel.badds.example TXT Bogus Failure",
        "_pgptunnel.nosig.example TXT Bogus Failure",
        "nope.badsig.example TXT Bogus Failure",
        "nope.hiiter.example TXT Bogus Failure",
        "_pgptunnel.keytrap.example TXT Bogus Failure",
        "aliasbogus.a.example TXT Bogus Failure",
        "loop1.a.example TXT Indeterminate Failure",
        "_pgptunnel.dead.example TXT Indeterminate Failure",
        "ins.example DS Secure NoData",
        "a.example DS Secure Answer",
        "example DS Secure Answer",
    ];

    [Theory]
    [InlineData(DnsWorld.Plain)]
    [InlineData(DnsWorld.Validating)]
    public async Task Each_zone_has_its_verdict(string resolver)
    {
        var wrong = new List<string>();
        foreach (var line in Cases)
        {
            var cell = line.Split(' ');
            var (dnssec, outcome, why) = await QueryAsync(resolver, cell[0], cell[1]);
            // A validating resolver may answer SERVFAIL for what is bogus or loops: the verdict is then that there is none.
            var right =
                (dnssec, outcome) == (cell[2], cell[3])
                || (resolver == DnsWorld.Validating && cell[2] == "Bogus" && dnssec == "Indeterminate");
            if (!right)
                wrong.Add($"{line}: {dnssec} {outcome}: {why}");
        }
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
    }

    /// <summary>What each verdict rests on, written down and checked by the same validator, which asks nobody then.</summary>
    [Fact]
    public async Task Each_verdict_holds_offline()
    {
        var anchors = TrustAnchors.Parse(await File.ReadAllTextAsync(_world.Anchors));
        var exchange = new DnsExchange([IPEndPoint.Parse(DnsWorld.Plain)]);
        var wrong = new List<string>();
        foreach (var cell in Cases.Select(line => line.Split(' ')))
        {
            Assert.True(RecordType.TryParse(cell[1], out var type));
            var online = new DnsValidator(exchange, anchors, TimeProvider.System); // one that has asked nothing yet
            var answer = await online.LookupAsync(
                DomainName.Parse(cell[0]),
                type,
                CancellationToken.None,
                budget: new() { KeepsProof = true }
            );
            if (answer.Proof is not { } proof)
            {
                if (answer.Security <= DnsSecurity.Insecure)
                    wrong.Add($"{cell[0]} {cell[1]}: no proof");
                continue;
            }
            var (name, of, records) = DnsProof.Read(proof.ToStream());
            var offline = new DnsValidator(new RecordedAnswers(records), anchors, TimeProvider.System);
            var again = await offline.LookupAsync(name, of, CancellationToken.None);
            var same =
                (name, of, again.Security) == (answer.Name, answer.Type, answer.Security)
                && again.Data.Select(Convert.ToHexString).SequenceEqual(answer.Data.Select(Convert.ToHexString))
                // That an unsigned zone has no such name, rather than no such record, cannot be shown.
                && (again.Outcome == answer.Outcome || answer is { Security: DnsSecurity.Insecure, Data: [] });
            if (!same)
                wrong.Add($"{cell[0]} {cell[1]}: {again.Security} {again.Outcome}: {again.Why}");
        }
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
    }

    [Fact]
    public async Task A_proof_is_written_and_checked_by_commands()
    {
        var file = Path.Combine(Path.GetDirectoryName(_world.Anchors)!, "b.proof");
        var now = TimeProvider.System.GetUtcNow().ToString("O", System.Globalization.CultureInfo.InvariantCulture);
        Task<Finished> ProveAsync(string name) =>
            Run.PgpTunnelAsync([
                "dns",
                "proof",
                name,
                "TXT",
                "--output",
                file,
                "--resolver",
                DnsWorld.Plain,
                "--trust-anchor",
                _world.Anchors,
            ]);
        Task<Finished> VerifyAsync(string at, params string[] more) =>
            Run.PgpTunnelAsync(["dns", "verify", file, "--at", at, "--trust-anchor", _world.Anchors, .. more]);
        (await ProveAsync("_pgptunnel.badsig.example")).Expect(65);
        Assert.False(File.Exists(file));
        (await ProveAsync("_pgptunnel.b.example")).Expect(0);
        (await ProveAsync("_pgptunnel.b.example")).Expect(73);
        using var json = JsonDocument.Parse((await VerifyAsync(now, "--json")).Expect(0).Output);
        Assert.Equal("Secure", json.RootElement.GetProperty("dnssec").GetString());
        Assert.Equal("_pgptunnel.b.example", json.RootElement.GetProperty("name").GetString());
        (await VerifyAsync("2020-01-01T00:00:00Z")).Expect(65);
        (await VerifyAsync("2099-01-01T00:00:00Z")).Expect(65);
        (await VerifyAsync("soon")).Expect(64);
        (await Run.PgpTunnelAsync("dns", "verify", file, "--at", now)).Expect(65); // not by the root of the Internet
        var octets = await File.ReadAllBytesAsync(file);
        await File.WriteAllBytesAsync(file, octets[..^1]);
        Assert.Contains("is no proof", (await VerifyAsync(now)).Expect(65).Error);
        File.Delete(file);
        (await ProveAsync("nope.b.example")).Expect(0);
        Assert.Contains("NxDomain, Secure", (await VerifyAsync(now)).Expect(0).Text);
    }

    [Fact]
    public async Task A_large_openpgpkey_comes_over_tcp_and_stock_tools_find_the_same()
    {
        var hash = (await Run.ProgramAsync("bash", ["-c", "printf gateway | sha256sum | cut -c1-56"])).Text.Trim();
        using var json = JsonDocument.Parse(
            (
                await Run.PgpTunnelAsync(
                    "dns",
                    "query",
                    $"{hash}._openpgpkey.a.example",
                    "OPENPGPKEY",
                    "--resolver",
                    DnsWorld.Plain,
                    "--trust-anchor",
                    _world.Anchors,
                    "--json"
                )
            )
                .Expect(0)
                .Output
        );
        Assert.Equal("Secure", json.RootElement.GetProperty("dnssec").GetString());
        var ours = json.RootElement.GetProperty("rdata")[0].GetString()!;
        var dig = (
            await Run.ProgramAsync(
                "dig",
                ["+short", "+tcp", "@127.0.53.10", "-p", "5310", $"{hash}._openpgpkey.a.example", "TYPE61"]
            )
        )
            .Expect(0)
            .Text;
        Assert.Equal(3000, ours.Length / 2);
        Assert.Equal(
            Convert.ToHexStringLower(
                Convert.FromBase64String(string.Concat(dig.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)))
            ),
            ours
        );
    }

    private async Task<(string Dnssec, string Outcome, string Why)> QueryAsync(
        string resolver,
        string name,
        string type
    )
    {
        var finished = (
            await Run.PgpTunnelAsync(
                "dns",
                "query",
                name,
                type,
                "--resolver",
                resolver,
                "--trust-anchor",
                _world.Anchors,
                "--json"
            )
        ).Expect(0);
        using var json = JsonDocument.Parse(finished.Output);
        var root = json.RootElement;
        return (
            root.GetProperty("dnssec").GetString()!,
            root.GetProperty("outcome").GetString()!,
            root.GetProperty("why").GetString()!
        );
    }
}
