using System.Text;
using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Fuzz;

/// <summary>What a peer's gateway sends as a receipt: nothing that was changed on the way leads to a head that it has signed.</summary>
internal static partial class Targets
{
    /// <summary>The end of a log of seven records: one whole, with its private part, one whole without, and a hash.</summary>
    private static class KeptTail
    {
        private static readonly byte[] Opening = RecordOpening.Write([
            ("server", "mail.b.example"),
            ("replies", "250"),
        ]);

        public static readonly LogTail Tail = Make();
        public static readonly byte[] Text = Tail.Write();

        private static LogTail Make()
        {
            var edge = new TreeEdge();
            for (var n = 0; n < 4; n++)
                edge.Append(TreeHash.Leaf(Encoding.ASCII.GetBytes($"{n}")));
            Record Made(long n, string ev, params (string, object?)[] fields) =>
                Record.Read(new Draft(ev, [("id", new string('a', 32)), .. fields]).Write(Now, Now, n).Record);
            TailItem[] items =
            [
                new(
                    Made(4, "outcome", ("to", Array.Empty<object>()), ("open", RecordOpening.CommitmentOf(Opening))),
                    RecordOpening.Read(Opening)
                ),
                new(TreeHash.Leaf("5"u8)),
                new(Made(6, "opened"), null),
            ];
            var whole = edge.Copy();
            foreach (var item in items)
                whole.Append(item.Leaf);
            var head = new Checkpoint(new("a.example", "b.example", "0123456789abcdef"), whole.Size, whole.Root());
            return new(edge, head, DetachedSignature.Make(head.Octets, Key, Now), items);
        }
    }

    private static void Receipts(byte[] input)
    {
        try
        {
            var tail = LogTail.Read(input);
            if (tail.Head.Signer([Peer], tail.Signature) is null)
                return;
            if (
                tail.From != KeptTail.Tail.From
                || !tail
                    .Items.Select(i => Convert.ToHexString(i.Leaf))
                    .SequenceEqual(KeptTail.Tail.Items.Select(i => Convert.ToHexString(i.Leaf)))
            )
                throw new InvalidDataException("a receipt that was changed is signed");
            foreach (var (item, made) in tail.Items.Zip(KeptTail.Tail.Items))
                if (
                    item.Opening is { } opening
                    && !opening.Octets.AsSpan().SequenceEqual(made.Opening is { } told ? told.Octets : [])
                )
                    throw new InvalidDataException("the private part of a receipt was changed");
        }
        catch (EvidenceException) { }
    }
}
