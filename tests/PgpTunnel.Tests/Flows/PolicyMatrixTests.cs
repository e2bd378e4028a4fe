using PgpTunnel.Dns;

namespace PgpTunnel.Tests;

/// <summary>
/// Every cell of the sending gateway's table (PROTOCOL.md 6), classes × local policies × memory × trusted fingerprints, through a real
/// SMTP session and a real look-up: what the table says is written here once more, apart from the code that decides.
/// </summary>
public class PolicyMatrixTests
{
    private const string Message = "From: alice@a.example\r\nSubject: s\r\n\r\nbody\r\n";
    private static readonly string[] Policies = ["never", "prefer", "require", "require-verified"];
    private static readonly string[] Records =
    [
        "usable-testing",
        "usable-enforce",
        "none",
        "withdrawn",
        "insecure",
        "bogus",
        "unusable-testing",
        "unusable-enforce",
        "malformed",
    ];
    private static readonly string[] Trusts = ["nothing", "offered", "missing"];

    private sealed record Cell(string Policy, string Record, bool Remembered, string Trust, string Domain)
    {
        /// <summary>The table.</summary>
        public string Expected =>
            Policy == "never" ? "in clear"
            : Policy == "require-verified" && Trust == "nothing" ? "451 4.7.5"
            : Record == "bogus"
                ? Remembered || Trust != "nothing" ? "451 4.4.3 alarm"
                    : "451 4.4.3"
            : Record == "insecure" && Trust == "offered"
                ? Remembered ? "sealed for alarm"
                    : "sealed for" // the trusted key itself, wherever it was found
            : Trust == "missing" || (Trust == "offered" && !Record.StartsWith("usable", StringComparison.Ordinal))
                ? "451 4.7.5 alarm"
            : Record.StartsWith("usable", StringComparison.Ordinal) ? "sealed for"
            : Record is "none" or "withdrawn" or "insecure"
                ? Remembered ? "451 4.7.5 alarm"
                    : Policy == "prefer" ? "in clear"
                    : "550 5.7.10"
            : Policy == "prefer" && !Remembered && Record == "unusable-testing" ? "in clear"
            : "451 4.7.5";
    }

    [Fact]
    public async Task Every_cell_of_the_table_through_a_session()
    {
        var cells = new List<Cell>();
        foreach (var record in Records)
        foreach (var policy in Policies)
        foreach (var remembered in new[] { false, true })
        foreach (var trust in Trusts)
            cells.Add(
                new(
                    policy,
                    record,
                    remembered,
                    trust,
                    $"d{cells.Count}.{(record is "insecure" or "bogus" ? record : "cells")}.example"
                )
            );
        await using var world = new TestWorld();
        world.AddZone("cells.example");
        world.AddInsecureZone("insecure.example");
        world.AddZone("bogus.example");
        var insecure = world.Forge!;
        var bogus = DomainName.Parse("bogus.example");
        world.Forge = (name, type, answer) =>
            name.IsBelow(bogus) ? TestWorld.Unsigned(answer) : insecure(name, type, answer);
        var relayed = new System.Collections.Concurrent.ConcurrentBag<Demo.Seen>();
        var (hop, _) = await world.ServerAsync(seen =>
        {
            relayed.Add(seen);
            return Task.FromResult(Smtp.SmtpReply.Ok);
        });
        var b = await world.AddCompanyAsync("b.example", hop.EndPoint);
        var partners = string.Join(", ", cells.Select(c => $"\"{c.Domain}\": {{ \"policy\": \"{c.Policy}\" }}"));
        var a = await world.AddCompanyAsync(
            "a.example",
            hop.EndPoint,
            $"\"policy\": {{ \"partners\": {{ {partners} }} }}"
        );
        await using (var spool = Spool.Open(a.Configuration.SpoolFile, running: false))
            foreach (var cell in cells)
            {
                Publish(world, b, cell);
                var verified = cell.Trust switch
                {
                    "offered" => b.Key.Fingerprint,
                    "missing" => new string('0', 40),
                    _ => "",
                };
                await spool.CommitAsync(
                    new()
                    {
                        Peer = new(
                            cell.Domain,
                            r =>
                                r with
                                {
                                    EnforceUntil = cell.Remembered ? world.Time.GetUtcNow().AddDays(7) : r.EnforceUntil,
                                    Verified = verified.Length > 0 ? [verified] : [],
                                }
                        ),
                    }
                );
            }
        var wrong = new List<string>();
        foreach (var cell in cells)
        {
            var before = a.Log.ToString().Length;
            var reply = (await a.SendAsync("<alice@a.example>", [$"<bob@{cell.Domain}>"], Message))[0].ToString();
            var alarm = a
                .Log.ToString()[before..]
                .Split('\n')
                .Any(l => l.Contains($"to={cell.Domain}") && l.Contains("alarm=true"));
            if (
                !reply.Contains(cell.Expected.Replace(" alarm", ""))
                || alarm != cell.Expected.EndsWith("alarm", StringComparison.Ordinal)
            )
                wrong.Add($"{cell}: {reply}{(alarm ? " alarm" : "")}");
        }
        Assert.True(wrong.Count == 0, $"{wrong.Count} of {cells.Count} cells differ:\n{string.Join('\n', wrong)}");
        Assert.Equal(216, cells.Count);
        // What the world got is sealed, or of a cell that says so.
        var clear = cells.Where(c => c.Expected == "in clear").Select(c => c.Domain).ToHashSet();
        Assert.All(
            relayed.Where(s => s.To[0].Mailbox.Domain != "pgptunnel.b.example"),
            s => Assert.Contains(s.To[0].Mailbox.Domain, clear)
        );
    }

    private static void Publish(TestWorld world, Company b, Cell cell)
    {
        var zone = world.Zone(cell.Domain[(cell.Domain.IndexOf('.') + 1)..]);
        var mode = cell.Record.EndsWith("testing", StringComparison.Ordinal) ? "testing" : "enforce";
        var text = cell.Record switch
        {
            "none" => null,
            "withdrawn" => "v=PGPT1; m=none",
            "malformed" => "v=PGPT1; m=enforce; fp=abc",
            "unusable-testing" or "unusable-enforce" =>
                $"v=PGPT1; m={mode}; fp={new string('1', 40)}; gw={b.Configuration.Gateway}",
            _ => $"v=PGPT1; m={mode}; fp={b.Key.Fingerprint}; gw={b.Configuration.Gateway}",
        };
        if (text is not null)
            zone.Add(DomainName.Parse($"_pgptunnel.{cell.Domain}"), RecordType.TXT, TestWorld.Txt(text));
        else
            zone.Add(DomainName.Parse(cell.Domain), RecordType.TXT, TestWorld.Txt("nothing of it"));
    }
}
