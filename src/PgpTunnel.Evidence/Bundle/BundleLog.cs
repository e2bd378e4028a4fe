using System.Globalization;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Evidence;

/// <summary>One log of which a bundle has records.</summary>
/// <param name="Head">As it was signed.</param>
/// <param name="Signature">Of the head: a detached OpenPGP signature.</param>
/// <param name="Records">In order, each with its proof and, where it is told, its private part.</param>
public sealed record BundleLog(Checkpoint Head, byte[] Signature, IReadOnlyList<BundleRecord> Records)
{
    private const string Folder = "logs/";

    /// <summary>The folder that its files stand in.</summary>
    private static string FolderOf(string id) => $"{Folder}{id}/";

    /// <summary>True when the bundle has records of that log.</summary>
    public static bool IsIn(BundleFiles files, string id) => files[$"{FolderOf(id)}checkpoint"] is not null;

    /// <summary>Adds its files, in the place of those that are there of the same log.</summary>
    public void AddTo(BundleFiles files)
    {
        var folder = FolderOf(Head.Origin.Id);
        files.Remove(folder);
        files.Add($"{folder}checkpoint", Head.Octets);
        files.Add($"{folder}checkpoint.sig", Signature);
        foreach (var (record, proof, opening) in Records)
        {
            files.Add(string.Create(CultureInfo.InvariantCulture, $"{folder}{record.N}.json"), record.Octets);
            files.Add(string.Create(CultureInfo.InvariantCulture, $"{folder}{record.N}.tlog-proof"), proof.Write());
            if (opening is not null)
                files.Add(string.Create(CultureInfo.InvariantCulture, $"{folder}{record.N}.opening"), opening.Octets);
        }
    }

    /// <summary>The logs of a bundle.</summary>
    /// <exception cref="EvidenceException">One is not whole, or not of this form.</exception>
    public static IReadOnlyList<BundleLog> Of(BundleFiles files) =>
        [.. files.In(Folder, "/checkpoint").Select(log => Read(files, log.Name, log.Octets))];

    private static BundleLog Read(BundleFiles files, string id, byte[] checkpoint)
    {
        var (folder, head) = (FolderOf(id), Checkpoint.Read(checkpoint));
        if (head.Origin.Id != id)
            throw new EvidenceException($"{folder}checkpoint is of another log");
        var records = files
            .In(folder, ".json")
            .Select(f => new BundleRecord(
                Record.Read(f.Octets),
                InclusionProof.Read(Needed(files, $"{folder}{f.Name}.tlog-proof")),
                files[$"{folder}{f.Name}.opening"] is { } opening ? RecordOpening.Read(opening) : null
            ))
            .OrderBy(r => r.Record.N)
            .ToList();
        return new(head, Needed(files, $"{folder}checkpoint.sig"), records);
    }

    private static byte[] Needed(BundleFiles files, string name) =>
        files[name] ?? throw new EvidenceException($"the bundle lacks {name}");

    /// <summary>Who of these has signed the head, and when; null = none of them.</summary>
    public (SignerKey Key, DateTimeOffset At)? Signer(IEnumerable<SignerKey> keys) => Head.Signer(keys, Signature);
}

/// <param name="Proof">That it stands in the log.</param>
/// <param name="Opening">Null = it is not told.</param>
public sealed record BundleRecord(Record Record, InclusionProof Proof, RecordOpening? Opening)
{
    /// <summary>True when the proof leads from the record to that head.</summary>
    public bool StandsIn(Checkpoint head) =>
        Proof.Head.Octets.AsSpan().SequenceEqual(head.Octets) && Proof.Shows(Record);
}
