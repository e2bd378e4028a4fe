using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>One parcel that waits, as administrators see it; times are RFC 3339.</summary>
/// <param name="Route"><c>gateway</c>, <c>world</c> or <c>local</c>.</param>
/// <param name="Domain">Whom it is for; of one for our own mail server, whom it is from.</param>
/// <param name="Status">Enhanced status code of the last reply; null = there was none.</param>
/// <param name="Class">Of that reply: <c>success</c>, <c>temporary</c>, <c>permanent</c>.</param>
/// <param name="Host">Who gave it; null = this gateway.</param>
internal sealed record ParcelView(
    string Id,
    string Route,
    string Form,
    string Domain,
    string State,
    string Created,
    string Next,
    int Attempts
)
{
    public string? Status { get; init; }
    public string? Class { get; init; }
    public string? Host { get; init; }

    public static ParcelView Of(Parcel p) =>
        new(
            p.Id,
            p.Route.ToString().ToLowerInvariant(),
            p.Form.ToString().ToLowerInvariant(),
            p.Domain,
            p.State.ToString().ToLowerInvariant(),
            InnerHeader.Time(p.Created),
            InnerHeader.Time(p.Next),
            p.Attempts
        )
        {
            Status = p.Status.Length > 0 ? p.Status : null,
            Class = ClassOf(p.Status),
            Host = p.Server.Length > 0 ? p.Server : null,
        };

    /// <summary>RFC 3463 2: whether the next attempt may go better.</summary>
    private static string? ClassOf(string status) =>
        status is [var digit, ..]
            ? digit switch
            {
                '2' => "success",
                '4' => "temporary",
                _ => "permanent",
            }
            : null;
}

/// <summary>One parcel with its envelope.</summary>
/// <param name="Size">Octets of the message.</param>
/// <param name="Unreadable">Why envelope and size are not known; null = they are.</param>
internal sealed record ParcelDetail(
    ParcelView Parcel,
    string? MailFrom,
    IReadOnlyList<string> RcptTo,
    int? Size,
    string? Unreadable
)
{
    /// <returns>Null when it has been settled meanwhile.</returns>
    public static ParcelDetail? Of(GatewayConfiguration configuration, Spool spool, Parcel parcel)
    {
        try
        {
            if (spool.Load(parcel.Id) is not var (_, content))
                return null;
            var parcels = new Parcels(new Settings(configuration, KeyRing.Load(configuration)), TimeProvider.System);
            var (header, _) = parcels.Read(parcel, content);
            return new(
                ParcelView.Of(parcel),
                header.MailFrom.ToString(),
                [.. header.RcptTo.Select(r => r.ToString())],
                header.Size,
                null
            );
        }
        catch (Exception e)
            when (e
                    is OpenPgpException
                        or NoKeyException
                        or MalformedParcelException
                        or ConfigurationException
                        or SpoolException
            )
        {
            return new(ParcelView.Of(parcel), null, [], null, e.Message);
        }
    }
}
