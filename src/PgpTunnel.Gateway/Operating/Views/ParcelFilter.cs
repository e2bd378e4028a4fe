using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>Which of the parcels that wait are asked for.</summary>
/// <param name="From">A domain, an address, or <c>&lt;&gt;</c>, the null sender; null = any.</param>
/// <param name="To">A domain or an address; null = any.</param>
/// <param name="CreatedBefore">Null = whenever.</param>
internal sealed record ParcelFilter(string? From, string? To, DateTimeOffset? CreatedBefore)
{
    /// <summary>Where that tells, a parcel is not opened for it.</summary>
    private readonly string? _to = DomainOf(To);

    /// <returns>The oldest first; and how many could not be opened to see whether they are asked for.</returns>
    public (IReadOnlyList<ParcelView> Parcels, int Unreadable) Waiting(GatewayConfiguration configuration, Spool spool)
    {
        var (found, unreadable) = (new List<ParcelView>(), 0);
        var keys = new Lazy<Parcels>(() =>
            new(new Settings(configuration, KeyRing.Load(configuration)), TimeProvider.System)
        );
        foreach (
            var parcel in spool.List().Where(p => p.State != ParcelState.Handed && MayFit(p, configuration.Domains))
        )
            if (!NeedsEnvelope(parcel))
                found.Add(ParcelView.Of(parcel));
            else if (Envelope(keys.Value, spool, parcel) is not { } header)
                unreadable++;
            else if (Fits(header))
                found.Add(ParcelView.Of(parcel));
        return (found, unreadable);
    }

    /// <summary>For whom it is, as far as that stands in clear beside it; who it is from does not.</summary>
    private static string ToOf(Parcel parcel) => parcel.Route == ParcelRoute.Local ? "" : parcel.Domain;

    /// <param name="ours">Our domains: what waits for our own mail server is for these.</param>
    private bool MayFit(Parcel parcel, IReadOnlyList<string> ours) =>
        parcel.Created < (CreatedBefore ?? DateTimeOffset.MaxValue)
        && (_to is null || (parcel.Route == ParcelRoute.Local ? ours.Contains(_to) : parcel.Domain == _to));

    private bool NeedsEnvelope(Parcel parcel) =>
        From is not null || (To is not null && (_to != To || ToOf(parcel).Length == 0));

    private bool Fits(InnerHeader header) =>
        (From is null || Same(header.MailFrom.Mailbox, From))
        && (To is null || header.RcptTo.Any(r => Same(r.Mailbox, To)));

    private static bool Same(Mailbox? mailbox, string asked) =>
        mailbox is null ? asked == "<>"
        : asked.Contains('@') ? string.Equals(mailbox.ToString(), asked, StringComparison.OrdinalIgnoreCase)
        : DomainOf(asked) is { } domain && DomainOf(mailbox.Domain) == domain;

    /// <summary>Of an address or a domain.</summary>
    private static string? DomainOf(string? text) =>
        text is not null && Domains.TryNormalise(text[(text.LastIndexOf('@') + 1)..], out var domain) ? domain : null;

    private static InnerHeader? Envelope(Parcels parcels, Spool spool, Parcel parcel)
    {
        try
        {
            return parcel.Form == ParcelForm.Sealed
                ? spool.LoadWithoutBody(parcel.Id) is { } rest
                    ? parcels.ReadEnvelope(rest).Header
                    : null
                : spool.Load(parcel.Id) is var (_, content)
                    ? parcels.Read(parcel, content).Header
                    : null;
        }
        catch (Exception e) when (e is OpenPgpException or NoKeyException or MalformedParcelException or SpoolException)
        {
            return null;
        }
    }
}
