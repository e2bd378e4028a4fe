using System.Text;
using PgpTunnel.Dns;
using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Fuzz;

/// <summary>What is given to an auditor: whatever comes, the reader says what is wrong, and nothing that was changed is believed.</summary>
internal static partial class Targets
{
    /// <summary>One record in a log of its own.</summary>
    private static class Kept
    {
        public static readonly Record Made = Record.Read(
            new Draft("sealed", ("id", new string('a', 32)), ("lit", new string('b', 64)), ("rcpts", 1))
                .Write(Now, Now, 0)
                .Record
        );
        public static readonly Checkpoint Head = new(
            new LogOrigin("a.example", "b.example", "0123456789abcdef"),
            1,
            Made.LeafHash
        );
        public static readonly BundleLog Log = new(
            Head,
            DetachedSignature.Make(Head.Octets, Key, Now),
            [new(Made, new(0, [], Head), null)]
        );

        public static readonly byte[] Bundle = BundleSeed();
    }

    private static byte[] BundleSeed()
    {
        var files = new BundleFiles();
        Kept.Log.AddTo(files);
        files.Add($"keys/{Key.Fingerprint}.pgp", Key.ExportCertificate());
        files.Add("message/head", "head");
        files.Add("message/pad", "pad");
        Sums.Add(files, Key, Now);
        using var tar = new MemoryStream();
        files.Write(tar);
        return tar.ToArray();
    }

    private static IReadOnlyList<byte[]> RecordSeeds() =>
        [Kept.Made.Octets, .. Texts("{\"from\":\"a\",\"to\":[\"b\"],\"v\":1}")];

    private static IReadOnlyList<byte[]> CheckpointSeeds() =>
        [Kept.Head.Octets, new InclusionProof(0, [], Kept.Head).Write()];

    /// <summary>
    /// A bundle is believed whole only where each of its files is as it was; save the signature of the list, in whose packet there is room
    /// that nobody signs (RFC 9580 5.2.3).
    /// </summary>
    private static void Bundles(byte[] input)
    {
        try
        {
            var files = BundleFiles.Read(new MemoryStream(input));
            var statements = new BundleVerification([files], TrustAnchors.BuiltIn, [1], Now).RunAsync().Result;
            var wrong = statements.Any(s => s.Verdict == Verdict.Contradicted && !s.What.StartsWith("the message"));
            var same = BundleFiles.Read(new MemoryStream(Kept.Bundle));
            if (!wrong && !files.Names.SequenceEqual(same.Names))
                throw new InvalidDataException("a bundle of other files was believed");
            if (!wrong && files.Names.Except(["SHA256SUMS.asc"]).Any(n => !files[n].AsSpan().SequenceEqual(same[n])))
                throw new InvalidDataException("a bundle of other octets was believed");
        }
        catch (EvidenceException) { }
    }

    private static void Records(byte[] input)
    {
        try
        {
            var record = Record.Read(input);
            _ = record.Fields.Select(f => (record.Text(f.Name), record.Number(f.Name))).ToList();
            if (!input.AsSpan().SequenceEqual(Kept.Made.Octets) && new InclusionProof(0, [], Kept.Head).Shows(record))
                throw new InvalidDataException("a record that was changed is in the log");
        }
        catch (EvidenceException) { }
        try
        {
            var opening = RecordOpening.Read(input);
            _ = (opening.Text("from"), opening.Texts("to").ToList());
        }
        catch (EvidenceException) { }
    }

    private static void Checkpoints(byte[] input)
    {
        try
        {
            var head = Checkpoint.Read(input);
            if (!head.Octets.AsSpan().SequenceEqual(input))
                throw new InvalidDataException("a checkpoint has two spellings");
            if (head.SignedBy(Peer, Kept.Log.Signature) is not null && !input.AsSpan().SequenceEqual(Kept.Head.Octets))
                throw new InvalidDataException("a checkpoint that was changed is signed");
        }
        catch (EvidenceException) { }
        try
        {
            var proof = InclusionProof.Read(input);
            if (!proof.Write().AsSpan().SequenceEqual(input))
                throw new InvalidDataException("a proof has two spellings");
            if (proof.Shows(Kept.Made) && !proof.Head.Root.AsSpan().SequenceEqual(Kept.Head.Root))
                throw new InvalidDataException("a proof of another root shows the record");
        }
        catch (EvidenceException) { }
    }
}
