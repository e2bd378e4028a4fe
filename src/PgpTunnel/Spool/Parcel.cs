using System.Buffers;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>Where a parcel goes.</summary>
public enum ParcelRoute
{
    /// <summary>Sealed, to the gateway mailbox of the destination domain.</summary>
    Gateway,

    /// <summary>In clear, to the recipients themselves.</summary>
    World,

    /// <summary>To our own mail server.</summary>
    Local,
}

/// <summary>How a parcel lies in the spool; always as ciphertext.</summary>
public enum ParcelForm
{
    /// <summary>Sealed for the peer; its session key stands beside it for our own spool subkey.</summary>
    Sealed,

    /// <summary>Sealed to our own spool subkey, since it is to leave in clear.</summary>
    Kept,

    /// <summary>As it came from a peer, sealed for us.</summary>
    Received,
}

public enum ParcelState
{
    Queued,

    /// <summary>An administrator holds it.</summary>
    Held,

    /// <summary>The next server has it; kept without its body until its token expires, for a bounce.</summary>
    Handed,
}

/// <summary>One parcel's index: what may stand on disk in clear (id, domain, state, times), and nothing else.</summary>
/// <param name="Domain">Destination domain; of a parcel for our own server, the sender domain.</param>
/// <param name="Token">In the reverse-path of a sealed parcel; what a bounce comes back to.</param>
/// <param name="Done">Indexes of recipients that are settled already.</param>
/// <param name="Status">Enhanced status code of the last attempt, digits only.</param>
/// <param name="MustSeal">Never to leave in clear, whatever the policy says later.</param>
/// <param name="MayClear">Sealed while the peer only tests: a final refusal lets it go in clear, for as long as that is so.</param>
/// <param name="Exempt">A parcel of a gateway's that our own mail server sends on: never sealed, never decided about.</param>
/// <param name="KeyFingerprint">The key it is sealed for, primary and subkey; of a received parcel, the sender's primary.</param>
/// <param name="Octets">Size of its sealed body as read from the spool.</param>
public sealed record Parcel(string Id, ParcelRoute Route, ParcelForm Form, string Domain, string Token, ParcelState State, DateTimeOffset Created, DateTimeOffset Expires,
    DateTimeOffset Next, int Attempts, IReadOnlySet<int> Done, string Status, bool MustSeal, bool MayClear, bool Exempt, bool Delayed, string KeyFingerprint, long Octets = 0)
{
    /// <summary>The host that gave the last reply; empty = none, or it was our own.</summary>
    public string Server { get; init; } = "";

    /// <summary>A report of ours: when it can go nowhere the postmaster is told.</summary>
    public bool IsNotice { get; init; }

    /// <summary>Of a parcel that was handed over: its sender has been told that it came back.</summary>
    public bool IsTold { get; init; }

    /// <summary>How often a gateway that only tests has refused it for good, and since when.</summary>
    public int Refusals { get; init; }

    public DateTimeOffset? RefusedSince { get; init; }
}

/// <summary>A parcel's ciphertexts.</summary>
/// <param name="Body">The sealed message, binary.</param>
/// <param name="Key">Of the form Sealed: its session key, sealed to our spool subkey; else empty.</param>
/// <param name="Envelope">Of the form Sealed: inner header and header fields alone, sealed to our spool subkey; what a notice is made from.</param>
public sealed record ParcelContent(ReadOnlyMemory<byte> Body, byte[] Key, byte[] Envelope)
{
    private int _givenBack;

    /// <summary>What is in it, while that is at hand; never written.</summary>
    internal (InnerHeader Header, ReadOnlyMemory<byte> Message)? Opened { get; set; }

    /// <summary>Octets of memory that it holds.</summary>
    internal long Held => Octets.Held(Body) + (Opened is { } opened ? Octets.Held(opened.Message) : 0);

    /// <summary>Lets what is in it go, and keeps the ciphertexts.</summary>
    internal void Close(ArrayPool<byte>? arrays)
    {
        if (Opened is { } opened)
            Octets.GiveBack(arrays, opened.Message, secret: true);
        Opened = null;
    }

    /// <inheritdoc cref="Parcels.GiveBack"/>
    internal void GiveBack(ArrayPool<byte>? arrays)
    {
        if (Interlocked.Exchange(ref _givenBack, 1) != 0)
            return;
        Octets.GiveBack(arrays, Body, secret: false);
        Close(arrays);
    }
}

/// <summary>What a replay is recognised by (PROTOCOL.md 7).</summary>
/// <param name="Sender">The sender's primary fingerprint.</param>
/// <param name="BodySha256">Of the signed literal body.</param>
public sealed record ReplayEntry(string Sender, string Id, byte[] BodySha256, DateTimeOffset Expires);
