using System.Text;
using System.Text.RegularExpressions;
using MimeKit;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// What comes back about a parcel: mail from the null sender to its token address, whatever form it has (RFC 5321 6.1 asks for none). Any
/// hop sees the token, so a report changes nothing but that the parcel's sender is told, once.
/// </summary>
internal sealed partial class Returns(Site site, Parcels parcels, OwnMail ownMail, Echoes echoes)
{
    /// <summary>Octets of a report that are read.</summary>
    public const int Enough = 256 * 1024;

    private const string Unauthenticated =
        "The report about the sealed message came back unauthenticated, as bounces do; the status digits are all that was taken from it.";

    private static readonly SmtpReply NoSuchToken = new(550, "5.1.1", "no parcel of ours has this address");

    /// <summary>Why nothing is taken at a token address; null = it is.</summary>
    public SmtpReply? Refusal(ReversePath from, string token)
    {
        var parcel = from.Mailbox is null ? site.Spool.FindToken(token) : null;
        if (parcel is null)
        {
            site.Log.Write(
                "report-refused",
                ("token", token),
                ("from", $"<{from.Mailbox}>"),
                (
                    "why",
                    from.Mailbox is null
                        ? "no parcel has this token, or not any more"
                        : "reports come from the null sender"
                ),
                ("reply", NoSuchToken)
            );
            return NoSuchToken;
        }
        // A hop can be faster than our own note that it has the parcel.
        return parcel.State == ParcelState.Handed
            ? null
            : new SmtpReply(451, "4.3.0", "the parcel is still being handed over; try again");
    }

    /// <summary>Takes what came to a token address.</summary>
    /// <param name="message">The message, or its beginning.</param>
    public async Task<SmtpReply> TakeAsync(ReadOnlyMemory<byte> message, string token)
    {
        if (site.Spool.FindToken(token) is not { State: ParcelState.Handed } parcel)
            return Refusal(new ReversePath((Mailbox?)null), token) ?? NoSuchToken;
        if (Read(message) is not { } status)
        {
            site.Log.Write(
                "report-ignored",
                ("id", parcel.Id),
                ("to", parcel.Domain),
                ("why", "it is no failure: a delay, a success, or an automatic reply")
            );
            return new SmtpReply(250, "2.0.0", "noted");
        }
        return await TellAsync(
            parcel,
            status,
            $"a hop on the way to the gateway of {parcel.Domain} reports failure {status}"
        )
            ? new SmtpReply(250, "2.0.0", "passed on to the sender")
            : new SmtpReply(250, "2.0.0", "noted; the sender has been told before");
    }

    /// <summary>A parcel that our own mail server sent on by way of us, and that went no further: as if it had come back.</summary>
    /// <returns>False when no parcel of ours has that token.</returns>
    public async Task<bool> FailedOnTheWayAsync(ReversePath from, SmtpReply reply)
    {
        if (
            from.Mailbox is not { } mailbox
            || GatewayAddress.TokenOf(site.Configuration.Gateway, mailbox) is not { } token
            || site.Spool.FindToken(token) is not { } parcel
        )
            return false;
        await TellAsync(
            parcel,
            reply.Status.Length > 0 ? reply.Status : "5.0.0",
            $"on its way to the gateway of {parcel.Domain}: {reply}"
        );
        return true;
    }

    /// <returns>False when the sender has been told before.</returns>
    private async Task<bool> TellAsync(Parcel parcel, string status, string why)
    {
        if (site.Spool.LoadWithoutBody(parcel.Id) is not { } content)
            return false;
        var (header, message) = parcels.ReadEnvelope(content);
        var outcome = new SmtpReply(550, status, why);
        var notice = Notice.Build(
            site.Configuration,
            NoticeAction.Failed,
            header.MailFrom,
            [.. header.RcptTo.Select(r => (r, outcome))],
            [message],
            header.Date,
            Unauthenticated
        );
        var told = new SpoolChange
        {
            Tell = parcel.Id,
            // Of a report of ours that comes back the postmaster is told; nobody of other mail from the null sender (RFC 5321 6.1).
            Add =
                notice is null && parcel.IsNotice ? [ownMail.Undeliverable(header, outcome)]
                : notice is null ? []
                : [ownMail.Report(header.Sender.Domain, header.MailFrom, notice.Value, parcel.ReportLeaves)],
            Facts = header.Kind == ParcelKind.Echo ? echoes.Outcome(header.Id, $"failed: {outcome}") : [],
        };
        if (!await site.Spool.CommitAsync(told))
        {
            site.Log.Write(
                "report-ignored",
                ("id", parcel.Id),
                ("to", parcel.Domain),
                ("status", status),
                ("why", "its sender has been told before")
            );
            return false;
        }
        site.Log.Write(
            "bounced",
            ("id", parcel.Id),
            ("to", parcel.Domain),
            ("status", status),
            ("notice", notice is not null)
        );
        return true;
    }

    // What a report says

    /// <summary>The status of a failure; null when it clearly is none.</summary>
    internal static string? Read(ReadOnlyMemory<byte> message)
    {
        var parsed = OuterMessage.Parse(message);
        var parts = Entities(parsed?.Body).OfType<MessageDeliveryStatus>().ToList();
        var groups = parts.SelectMany(Groups).ToList();
        if (groups.Find(g => Actions(g).Contains("failed")) is { } failed)
            return Status(failed) ?? "5.0.0";
        if (groups.SelectMany(Actions).ToList() is { Count: > 0 } actions)
            return actions.Exists(a => a is "delayed" or "delivered" or "relayed" or "expanded") ? null : "5.0.0";
        if (groups.Select(Status).OfType<string>().ToList() is { Count: > 0 } digits)
            return digits.Find(d => d[0] == '5' || d == GivenUp)
                ?? (digits.Exists(d => d[0] is '2' or '4') ? null : "5.0.0");
        return parsed is not null && (IsAnswer(parsed, parts.Count > 0) || IsDelayOrSuccess(parsed)) ? null : "5.0.0";
    }

    /// <summary>Delivery time expired: a transient code (RFC 3463 3.5) that nobody sends before all is over.</summary>
    private const string GivenUp = "4.4.7";

    /// <summary>
    /// RFC 3834 5: what answers by itself says so. So do some that report a failure; those are reports by their form, or by what such a
    /// subject begins with: an answer repeats the subject of a person, in which anything may have failed.
    /// </summary>
    private static bool IsAnswer(MimeMessage message, bool hasStatus)
    {
        var type = message.Body?.ContentType;
        if (type?.Parameters["report-type"] is { } report && report.Equals("disposition-notification", IgnoreCase))
            return true; // RFC 8098: it came, and somebody has or has not read it
        return message.Headers["Auto-Submitted"] is { } auto
            && HeaderFields.Word(auto).StartsWith("auto-replied", StringComparison.Ordinal)
            && !hasStatus
            && type?.IsMimeType("multipart", "report") is not true
            && !message.Headers.Contains("X-Failed-Recipients")
            && !Bounce().IsMatch(SubjectOf(message));
    }

    private const StringComparison IgnoreCase = StringComparison.OrdinalIgnoreCase;

    private static bool IsDelayOrSuccess(MimeMessage message)
    {
        var subject = SubjectOf(message);
        return StillTried().IsMatch(subject)
            || Arrived().IsMatch(subject)
            || (Delay().IsMatch(subject) && !Failure().IsMatch(subject));
    }

    /// <summary>Without addresses and domains, whose names say nothing.</summary>
    private static string SubjectOf(MimeMessage message) => Names().Replace(message.Subject ?? "", "");

    [GeneratedRegex(@"\S+@\S+|[\w-]+(\.[\w-]+)+")]
    private static partial Regex Names();

    /// <summary>What sendmail, qmail's kin and Exim call a message that they have not given up.</summary>
    [GeneratedRegex(
        @"could not send message for past|still undelivered after|message deferred|still being retried",
        RegexOptions.IgnoreCase | RegexOptions.CultureInvariant
    )]
    private static partial Regex StillTried();

    [GeneratedRegex(
        @"^\s*(successful mail delivery|delivered:|relayed:)",
        RegexOptions.IgnoreCase | RegexOptions.CultureInvariant
    )]
    private static partial Regex Arrived();

    [GeneratedRegex(@"\b(delayed|delay)\b", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Delay();

    /// <summary>What a delay is named beside, when it is one no more.</summary>
    [GeneratedRegex(
        @"fail|undeliver|not (be )?delivered|reject|refus|return|bounc|block|denied|exceed|expired|gave up|given up|could not"
            + "|delet|discard|unknown|problem|error|too long",
        RegexOptions.IgnoreCase | RegexOptions.CultureInvariant
    )]
    private static partial Regex Failure();

    /// <summary>How mail servers begin the subject of a bounce.</summary>
    [GeneratedRegex(
        @"^\W*((mail|message|e-?mail)\W+)?(undeliver|non-?deliver|not deliver"
            + @"|deliver\w*\W+(has\W+|status\W+notification\W+)*(fail|problem|error)"
            + @"|fail(ure|ed)\W+(notice|deliver|mail|to deliver)|return(ed|ing)\W+(mail|message|e-?mail|to sender)"
            + @"|(could|can)\W*not\b.*deliver|rejected|refused|bounce|system error|blocked)",
        RegexOptions.IgnoreCase | RegexOptions.CultureInvariant
    )]
    private static partial Regex Bounce();

    private static IEnumerable<string> Actions(HeaderList group) =>
        group
            .Where(h => h.Field.Equals("Action", IgnoreCase))
            .Select(h => HeaderFields.Word(h.Value))
            .Where(a => a.Length > 0);

    /// <summary>Every part, whatever the multiparts around it; not what is inside an attached message.</summary>
    private static IEnumerable<MimeEntity> Entities(MimeEntity? entity) =>
        entity is Multipart multipart ? multipart.SelectMany(Entities)
        : entity is null ? []
        : [entity];

    private static IEnumerable<HeaderList> Groups(MessageDeliveryStatus status)
    {
        try
        {
            return [.. status.StatusGroups];
        }
        catch (Exception e) when (e is FormatException or InvalidOperationException or IOException)
        {
            return []; // what cannot be read says nothing
        }
    }

    private static string? Status(HeaderList group) =>
        StatusCode().Match(HeaderFields.Word(group["Status"])) is { Success: true } match ? match.Value : null;

    [GeneratedRegex(@"^[245]\.\d{1,3}\.\d{1,3}(?!\S)")]
    private static partial Regex StatusCode();
}
