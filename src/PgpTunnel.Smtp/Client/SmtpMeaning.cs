namespace PgpTunnel.Smtp;

/// <summary>What a client waits for an answer to.</summary>
internal enum SmtpStep
{
    Greeting,
    Hello,
    StartTls,
    Login,
    Mail,
    Recipient,
    Data,
    Content,
    Reset,
}

/// <summary>Which replies mean what at which step (RFC 5321 4.2.1, 4.3.2; RFC 3207 4; RFC 4954 4; RFC 3030 2).</summary>
internal static class SmtpMeaning
{
    /// <summary>The one intermediate reply that has business at a step; 0 = none.</summary>
    private static int Intermediate(SmtpStep step) =>
        step switch
        {
            SmtpStep.Data => 354,
            SmtpStep.Login => 334,
            _ => 0,
        };

    /// <summary>The server asks for more, as it may at this step.</summary>
    public static bool GoesOn(this SmtpReply reply, SmtpStep step) => reply.Code == Intermediate(step);

    /// <summary>
    /// Neither a completion nor a refusal nor what may be asked here: 1yz, 3yz, and 2yz to DATA, which completes nothing.
    /// </summary>
    public static bool IsOutOfPlace(this SmtpReply reply, SmtpStep step) =>
        !(reply.IsTemporary || reply.IsPermanent || (reply.IsPositive && step != SmtpStep.Data) || reply.GoesOn(step));

    /// <summary>The reply as a verdict: one that is out of place completes nothing, so it has failed for now.</summary>
    public static SmtpReply Verdict(this SmtpReply reply, SmtpStep step, SmtpTarget target) =>
        reply.IsOutOfPlace(step) ? new SmtpReply(451, "4.5.0", $"{target} answers {Name(step)} with {reply}") : reply;

    /// <summary>
    /// The command, or a parameter of it, is not known there: what is refused is how it was said, not the mail (RFC 5321 4.2.4,
    /// 4.1.1.11).
    /// </summary>
    public static bool IsAboutSyntax(this SmtpReply reply) => reply.Code is 500 or 501 or 502 or 503 or 504 or 555;

    /// <summary>Too many recipients: the rest belongs into another transaction (RFC 5321 4.5.3.1.10; older servers say 552).</summary>
    public static bool IsTooMany(this SmtpReply reply) => reply.Code is 452 or 552;

    private static string Name(SmtpStep step) =>
        step switch
        {
            SmtpStep.Greeting => "a connection",
            SmtpStep.Hello => "EHLO",
            SmtpStep.StartTls => "STARTTLS",
            SmtpStep.Login => "AUTH",
            SmtpStep.Mail => "MAIL",
            SmtpStep.Recipient => "RCPT",
            SmtpStep.Data => "DATA",
            SmtpStep.Content => "the message",
            _ => "RSET",
        };
}
