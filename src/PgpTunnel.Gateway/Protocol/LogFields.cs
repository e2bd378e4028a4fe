using System.Globalization;
using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>
/// What a parcel tells of logs, one line each (PROTOCOL.md 5): the head of its sender's log about its recipient, signed, and how far the
/// sender holds the recipient's. Who does not know these lines passes over them, so what cannot be read counts as not there.
/// </summary>
internal static class LogFields
{
    /// <param name="Log">The random part of the log's name.</param>
    public sealed record Held(string Log, long Size, byte[] Root)
    {
        private readonly string _text = string.Create(
            CultureInfo.InvariantCulture,
            $"{Log} {Size} {Convert.ToBase64String(Root)}"
        );

        public Held(Checkpoint head)
            : this(head.Origin.Id, head.Size, head.Root) { }

        public override string ToString() => _text;

        /// <summary>The head of a log by its whole name.</summary>
        public Checkpoint Of(string own, string peer) => new(new(own, peer, Log), Size, Root);

        /// <returns>Null when the text is no such thing.</returns>
        public static Held? Read(string? text)
        {
            var parts = text?.Split(' ') ?? [];
            var root = new byte[TreeHash.Length];
            return
                parts.Length == 3
                && parts[0].Length == LogOrigin.IdDigits
                && parts[0].All(char.IsAsciiHexDigitLower)
                && long.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var size)
                && Convert.TryFromBase64String(parts[2], root, out var length)
                && length == root.Length
                ? new(parts[0], size, root)
                : null;
        }
    }

    /// <param name="Signature">A detached OpenPGP signature of the checkpoint.</param>
    public sealed record Signed(Held Head, byte[] Signature)
    {
        private readonly string _text = $"{Head}; {Convert.ToBase64String(Signature)}"; // many parcels carry the same

        public override string ToString() => _text;

        /// <returns>Null when the text is no such thing.</returns>
        public static Signed? Read(string? text)
        {
            var parts = text?.Split("; ") ?? [];
            var signature = new byte[text?.Length ?? 0];
            return
                parts.Length == 2
                && Held.Read(parts[0]) is { } head
                && Convert.TryFromBase64String(parts[1], signature, out var length)
                ? new(head, signature[..length])
                : null;
        }
    }
}
