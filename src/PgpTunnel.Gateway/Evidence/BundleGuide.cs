using System.Globalization;
using System.Text;
using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>The README.txt of a bundle: what is in it, and how to check it with programs that are not ours.</summary>
internal sealed class BundleGuide(string id)
{
    /// <summary>Of the message.</summary>
    public string Id => id;

    private readonly Dictionary<string, string> _logs = [];
    private readonly StringBuilder _dns = new(),
        _message = new();

    /// <summary>Checks one record by gpg, openssl and coreutils.</summary>
    public static byte[] Script
    {
        get
        {
            using var resource = typeof(BundleFiles).Assembly.GetManifestResourceStream("inclusion.sh")!;
            var script = new byte[resource.Length];
            resource.ReadExactly(script);
            return script;
        }
    }

    public void Log(BundleLog log, string signer)
    {
        var folder = $"logs/{log.Head.Origin.Id}";
        var text = new StringBuilder($"{log.Head.Origin}\n");
        foreach (var (record, _, opening) in log.Records)
        {
            text.Append(
                CultureInfo.InvariantCulture,
                $"  {RecordTime.Write(record.At)} {record.Event}:\n    sh inclusion.sh {folder} {record.N} {signer.ToUpperInvariant()}\n"
            );
            if (opening is not null)
                text.Append(
                    CultureInfo.InvariantCulture,
                    $"    echo {opening.Commitment}  {folder}/{record.N}.opening | sha256sum -c\n"
                );
        }
        _logs[log.Head.Origin.Id] = text.ToString();
    }

    public void Dns(string command, DateTimeOffset at) =>
        _dns.Append($"  as of {RecordTime.Write(at)}:\n    {command}\n");

    /// <param name="isSigned">With the sender's signature of it.</param>
    public void Message(bool isSigned)
    {
        _message.Append("    cat message/head original.eml message/pad > literal\n    sha256sum literal\n");
        if (isSigned)
            _message.Append("    gpg --verify message/sig literal\n");
    }

    public override string ToString() =>
        $"""
            What is on record about one message between mail gateways (PgpTunnel), id {id}.

            All of it at once:

                pgptunnel evidence verify BUNDLE.tar [--message original.eml]

            With programs of others, in a folder into which it was unpacked. Nothing was changed since it was made, and who made it:

                gpg --import keys/*.pgp
                sha256sum -c SHA256SUMS
                gpg --verify SHA256SUMS.asc SHA256SUMS

            Each record stands in a log whose head was signed (a Merkle tree, RFC 6962); where its private part is told, that is the one:

            {string.Concat(_logs.Values).TrimEnd('\n')}

            Which key was a domain's, by the DNS with DNSSEC, from the root down. "(secure)" must stand there, and the key's fingerprint;
            compare dns/anchors.ds with the root's trust anchor that you have from elsewhere (https://data.iana.org/root-anchors/):

            {(_dns.Length == 0 ? "  no proof is in it" : Indented(_dns))}

            That a message is the very one: put the octets together that were signed, and compare with "lit" in the record.

            {(_message.Length == 0 ? "  what stood around it is not in this bundle" : Indented(_message))}

            What it cannot show: mail that went another way than through the gateway; what happened inside either company; and when it was
            made, other than by the gateways' own clocks.

            """.ReplaceLineEndings("\n");

    private static string Indented(StringBuilder text) => text.ToString().TrimEnd('\n');
}
