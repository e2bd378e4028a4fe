namespace PgpTunnel;

/// <summary>
/// What commits together: all of it is durable when <see cref="Spool.CommitAsync"/> has returned true, and nothing of it is there after an
/// exception or a false.
/// </summary>
internal sealed record SpoolChange
{
    // Conditions: where one does not hold, nothing is kept.

    /// <summary>A replay id, which must not be there yet.</summary>
    public ReplayEntry? Replay { get; init; }

    /// <summary>
    /// Id of a parcel that was handed over, whose sender is now told that it came back, and must not have been told before.
    /// </summary>
    public string? Tell { get; init; }

    /// <summary>More of a peer's log, which must be held up to where that begins.</summary>
    public MirroredTail? Mirror { get; init; }

    /// <summary>
    /// Id of a parcel in whose place those in <see cref="Add"/> come, which must be there, and not handed over: nobody is to hear that it
    /// failed, or to get it another way, when it has arrived meanwhile, or was dropped.
    /// </summary>
    public string? Replace { get; init; }

    /// <summary>A parcel that was handed over and is missed: it must be missed still.</summary>
    public MissedReceipt? Miss { get; init; }

    // What becomes of a parcel that is there

    /// <summary>Id of a parcel that goes: settled, or dropped. One that was handed over stays.</summary>
    public string? Remove { get; init; }

    /// <summary>A parcel after an attempt. An administrator's hold that came meanwhile stays.</summary>
    public Parcel? Update { get; init; }

    /// <summary>
    /// An administrator's wish for a parcel: another state, another time. One that was handed over meanwhile stays so.
    /// </summary>
    public Rescheduled? Reschedule { get; init; }

    /// <summary>A parcel that the next server has: its body goes, its envelope stays for a bounce.</summary>
    public HandedOver? HandOver { get; init; }

    /// <summary>A parcel that was handed over, is missed, and goes again as it is.</summary>
    public Resent? Resend { get; init; }

    /// <summary>What a receipt says of parcels of ours.</summary>
    public IReadOnlyList<SettledByReceipt> Settle { get; init; } = [];

    // What comes

    public IReadOnlyList<(Parcel Parcel, ParcelContent Content)> Add { get; init; } = [];

    /// <summary>What goes on record of it, beside the first entries of the parcels that come.</summary>
    public IReadOnlyList<LogEntry> Entries { get; init; } = [];

    /// <summary>A receipt of ours that is on its way with this.</summary>
    public ReceiptSent? Sent { get; init; }

    /// <summary>The head of a peer's log, as it has signed it.</summary>
    public WitnessedHead? Witnessed { get; init; }

    /// <summary>What is remembered of a domain.</summary>
    public PeerChange? Peer { get; init; }

    /// <summary>A domain of which nothing is to be remembered any more.</summary>
    public string? Forget { get; init; }

    /// <summary>What an administrator has done by this change.</summary>
    public OperatorAct? Act { get; init; }

    /// <summary>Facts of the running gateway, by name.</summary>
    public IReadOnlyDictionary<string, string> Facts { get; init; } = new Dictionary<string, string>();
}

/// <param name="Next">When it is tried next.</param>
internal sealed record Rescheduled(string Id, ParcelState State, DateTimeOffset Next);

/// <param name="Until">When a bounce is no longer to be expected.</param>
/// <param name="Server">Who has it.</param>
/// <param name="Overdue">From when on a receipt is missed; null = none is expected.</param>
internal sealed record HandedOver(string Id, DateTimeOffset Until, string Server, DateTimeOffset? Overdue);

/// <param name="Next">When it is looked at again; null = no more.</param>
internal sealed record MissedReceipt(string Id, DateTimeOffset? Next);

/// <param name="At">When it is to go.</param>
/// <param name="Next">When it is looked at again.</param>
internal sealed record Resent(string Id, DateTimeOffset At, DateTimeOffset Next);

/// <param name="Done">Indexes of recipients whose outcome is told.</param>
internal sealed record SettledByReceipt(string Id, ReceiptState State, IReadOnlySet<int> Done)
{
    /// <summary>When the message came, where the receipt is the first that says all that became of it.</summary>
    public DateTimeOffset? Since { get; init; }
}

/// <param name="Change">Gets what is remembered now; run again where the transaction is.</param>
internal sealed record PeerChange(string Domain, Func<PeerRecord, PeerRecord> Change);
