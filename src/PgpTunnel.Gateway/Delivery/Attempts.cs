using System.Diagnostics;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// One parcel, decided about again, handed over, and brought to an outcome; the three routes are in <c>Attempts.Routes.cs</c>.
/// </summary>
internal sealed partial class Attempts(
    Site site,
    Decisions decisions,
    Peers peers,
    Alarms alarms,
    Parcels parcels,
    Witness witness,
    Handover handover,
    Outcomes outcomes
)
{
    /// <summary>One attempt; whatever happens, the parcel is settled or tried again.</summary>
    /// <param name="listed">The parcel as the list of due ones had it: an attempt that ended since may have changed it.</param>
    /// <param name="atHand">Its ciphertexts, when it has been taken just now; null = they are in the spool.</param>
    /// <returns>When its time comes, where an attempt that ended since has put it off; else null.</returns>
    public async Task<DateTimeOffset?> MakeAsync(Parcel listed, ParcelContent? atHand, CancellationToken cancel)
    {
        var (parcel, used, begun) = (listed, atHand, site.Time.GetUtcNow());
        try
        {
            // Read anew while it has its slot: only now nobody else settles it. It may be sent, held or dropped by now, even one that is
            // new:
            // the loop can have found it in the spool before it was offered.
            var found =
                used is null ? site.Spool.Load(listed.Id)
                : site.Spool.Find(listed.Id) is { } row ? (row, used)
                : null;
            if (found is not ({ State: ParcelState.Queued } current, { Body.Length: > 0 } content))
                return null;
            if (!IsDue(current))
                return current.Next;
            (parcel, used) = (current, content);
            await (
                parcel.Route switch
                {
                    ParcelRoute.Gateway => ToGatewayAsync(parcel, content, cancel),
                    ParcelRoute.World => ToWorldAsync(parcel, content, cancel),
                    _ => ToLocalAsync(parcel, content, cancel),
                }
            );
            Trace(parcel, begun, null);
        }
        catch (OperationCanceledException)
        {
            // Going down: the parcel stays as it is in the spool.
        }
        catch (Exception e)
        {
            var reason = Reason(parcel, e);
            Trace(parcel, begun, reason);
            await outcomes.LaterAsync(parcel, reason, cancel);
        }
        finally
        {
            if (used is not null)
                parcels.GiveBack(used);
        }
        return null;
    }

    private void Trace(Parcel parcel, DateTimeOffset begun, SmtpReply? failed) =>
        Traces.Span(
            "attempt",
            ActivityKind.Internal,
            parcel.Id,
            (begun, site.Time.GetUtcNow()),
            failed?.Status,
            ("route", parcel.Route),
            ("domain", parcel.Domain),
            ("number", parcel.Attempts + 1)
        );

    private SmtpReply Reason(Parcel parcel, Exception e)
    {
        switch (e)
        {
            case SmtpUnavailableException unavailable:
                return unavailable.Reply;
            case OpenPgpException or NoKeyException:
                return new(
                    451,
                    "4.3.5",
                    $"the parcel does not open: {e.Message}; is a key missing from keys.directory?"
                );
            case SpoolException:
                site.Log.Write(
                    "spool-error",
                    ("id", parcel.Id),
                    ("alarm", true),
                    ("why", e.Message),
                    ("do", "see that the spool's disk is healthy, and 'pgptunnel queue check'; the parcel waits")
                );
                return new(451, "4.3.0", "the gateway cannot read the message from its disk");
            default:
                site.Log.Write("error", ("id", parcel.Id), ("why", e.ToString()));
                return new(451, "4.3.0", $"internal error: {e.Message}");
        }
    }

    private bool IsDue(Parcel parcel) =>
        parcel.Next <= site.Time.GetUtcNow()
        || parcel.Next > site.Time.GetUtcNow() + 2 * site.Configuration.Retry.Longest;
}
