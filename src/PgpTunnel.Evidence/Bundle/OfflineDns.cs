using System.Globalization;
using System.Text;
using PgpTunnel.Dns;

namespace PgpTunnel.Evidence;

/// <summary>
/// The proofs of the DNS in a bundle, each also in a form that <c>unbound-host</c> validates, asking nobody, for the time at which it was
/// relied on.
/// </summary>
public static class OfflineDns
{
    private const string Anchors = "dns/anchors.ds";

    /// <summary>The trust anchors that the gateway had: whoever checks compares them with what he has from elsewhere.</summary>
    public static void AddAnchors(BundleFiles files, TrustAnchors anchors) =>
        files.AddOnce(
            Anchors,
            Encoding.ASCII.GetBytes(
                string.Concat(
                    anchors
                        .Text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
                        .Select(l => $"{l}\n")
                )
            )
        );

    /// <param name="name">Of the proof: SHA-256 of its octets.</param>
    /// <returns>The command that validates it; null when it was there.</returns>
    public static string? Add(BundleFiles files, string name, byte[] stream, DateTimeOffset at)
    {
        if (!files.AddOnce($"dns/{name}.rr", stream))
            return null;
        var configuration = new StringBuilder()
            .Append("server:\n  directory: \".\"\n  chroot: \"\"\n  username: \"\"\n")
            .Append(CultureInfo.InvariantCulture, $"  trust-anchor-file: \"{Anchors}\"\n")
            .Append(CultureInfo.InvariantCulture, $"  val-override-date: \"{at.UtcDateTime:yyyyMMddHHmmss}\"\n");
        foreach (var ((zone, text), number) in OfflineZones.Of(stream).Select((z, i) => (z, i)))
        {
            var file = string.Create(CultureInfo.InvariantCulture, $"dns/{name}.{number}.zone");
            files.Add(file, text);
            configuration.Append(
                CultureInfo.InvariantCulture,
                $"auth-zone:\n  name: \"{zone}\"\n  zonefile: \"{file}\"\n"
            );
            configuration.Append("  for-upstream: yes\n  for-downstream: no\n  fallback-enabled: no\n");
        }
        files.Add($"dns/{name}.conf", configuration.ToString());
        var (question, type, _) = DnsProof.Read(stream);
        return $"unbound-host -C dns/{name}.conf -v -t {RecordType.Name(type)} {question.ToString().TrimEnd('.')}";
    }
}
