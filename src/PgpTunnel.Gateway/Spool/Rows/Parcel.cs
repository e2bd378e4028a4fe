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

/// <summary>Where parcels wait together: a domain's gateway, a domain's servers, or our own.</summary>
/// <param name="Domain">As <see cref="Parcel.Domain"/> has it.</param>
public readonly record struct Destination(ParcelRoute Route, string Domain);

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

/// <summary>What a sealed parcel has come to by the other side's own word.</summary>
public enum ReceiptState
{
    /// <summary>Nobody was asked.</summary>
    None,

    /// <summary>A receipt was asked for, and there is none yet.</summary>
    Asked,

    /// <summary>There is none, long after it was handed over: the same octets may go again.</summary>
    Overdue,

    /// <summary>The other gateway has opened it.</summary>
    Opened,

    /// <summary>Its last recipient is settled.</summary>
    Settled,
}

/// <summary>One parcel's index: what may stand on disk in clear (id, domain, state, times), and nothing else.</summary>
public sealed record Parcel
{
    public required string Id { get; init; }
    public required ParcelRoute Route { get; init; }
    public required ParcelForm Form { get; init; }

    /// <summary>Destination domain; of a parcel for our own server, the sender domain.</summary>
    public required string Domain { get; init; }

    public Destination Destination => new(Route, Domain);

    /// <summary>
    /// Which of our domains it is from, or for: with <see cref="Domain"/> it names the log that it is on record in. Empty = it is on record
    /// nowhere.
    /// </summary>
    public string Own { get; init; } = "";

    /// <summary>SHA-256 of its signed literal body; empty = it has none.</summary>
    public byte[] Lit { get; init; } = [];

    /// <summary>In the reverse-path of a sealed parcel; what a bounce comes back to.</summary>
    public string Token { get; init; } = "";

    public ParcelState State { get; init; }
    public required Leaving Leaving { get; init; }
    public required DateTimeOffset Created { get; init; }
    public required DateTimeOffset Expires { get; init; }

    /// <summary>When it is tried next.</summary>
    public required DateTimeOffset Next { get; init; }

    public int Attempts { get; init; }

    /// <summary>Indexes of recipients that are settled already.</summary>
    public IReadOnlySet<int> Done { get; init; } = new HashSet<int>();

    /// <summary>Enhanced status code of the last attempt, digits only.</summary>
    public string Status { get; init; } = "";

    /// <summary>Its sender has been told that it is late.</summary>
    public bool Delayed { get; init; }

    /// <summary>The key it is sealed for, primary and subkey; of a received parcel, the sender's primary.</summary>
    public string KeyFingerprint { get; init; } = "";

    /// <summary>Size of its sealed body as read from the spool.</summary>
    public long Octets { get; init; }

    /// <summary>How a report about it leaves, which has its header.</summary>
    public Leaving ReportLeaves => Leaving == Leaving.SealedOnly ? Leaving.SealedOnly : Leaving.AsDecided;

    /// <summary>The host that gave the last reply; empty = none, or it was our own.</summary>
    public string Server { get; init; } = "";

    /// <summary>A report of ours: when it can go nowhere the postmaster is told.</summary>
    public bool IsNotice { get; init; }

    /// <summary>Of a parcel that was handed over: its sender has been told that it came back.</summary>
    public bool IsTold { get; init; }

    public ReceiptState Receipt { get; init; }

    /// <summary>
    /// Of a parcel that was handed over and has no receipt: from when on that is overdue, or when it is sent again. Null = it is waited for
    /// no more.
    /// </summary>
    public DateTimeOffset? Overdue { get; init; }

    /// <summary>How often a gateway that only tests has refused it for good, and since when.</summary>
    public int Refusals { get; init; }

    public DateTimeOffset? RefusedSince { get; init; }

    /// <summary>Made of another's message: as old, and with what was told of that.</summary>
    public Parcel InPlaceOf(Parcel former) =>
        this with
        {
            Created = former.Created,
            Delayed = former.Delayed,
            IsNotice = former.IsNotice,
        };
}

/// <summary>A parcel's ciphertexts.</summary>
/// <param name="Body">The sealed message, binary.</param>
/// <param name="Key">Of the form Sealed: its session key, sealed to our spool subkey; else empty.</param>
/// <param name="Envelope">Of the form Sealed: inner header and header fields alone, sealed to our spool subkey; what a notice is made
/// from.</param>
public sealed record ParcelContent(ReadOnlyMemory<byte> Body, byte[] Key, byte[] Envelope)
{
    private int _givenBack;

    /// <summary>What is in it, while that is at hand; never written.</summary>
    internal (InnerHeader Header, ReadOnlyMemory<byte> Message)? Opened { get; set; }

    /// <summary>Goes on record in the step in which the parcel is kept; null = nothing does.</summary>
    internal LogEntry? Entry { get; set; }

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
