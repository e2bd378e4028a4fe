namespace PgpTunnel.Tests;

/// <summary>What mail servers call a message, as they write it themselves.</summary>
public sealed class QueueIdTests
{
    [Theory]
    [InlineData(
        "from pc (pc.a.example [192.0.2.7]) by mail.a.example (Postfix) with ESMTPSA id 4XyZ123abcDz1B for <b@b.example>; Fri, 27",
        "4XyZ123abcDz1B"
    )]
    [InlineData(
        "by mail.a.example (Postfix, from userid 1000)\tid 9F2A6120BD; Fri, 27 Nov 2026 10:00:00 +0100",
        "9F2A6120BD"
    )]
    [InlineData(
        "from pc by mail.a.example with esmtps  (TLS1.3) tls X (Exim 4.96) (envelope-from <a@a.example>) id 1rXyZ0-0001Ab-2C; Fri, 27",
        "1rXyZ0-0001Ab-2C"
    )]
    [InlineData(
        "from EX1.a.example (10.0.0.1) by EX2.a.example (10.0.0.2) with Microsoft SMTP Server id 15.2.1118.40; Fri, 27",
        "15.2.1118.40"
    )]
    [InlineData(
        "from pc by mail.a.example (8.17.1/8.17.1) with ESMTP id 3AR91abc012345 for <b@b.example>; Fri, 27 Nov 2026",
        "3AR91abc012345"
    )]
    [InlineData("from pc by mail.a.example with SMTP; Fri, 27 Nov 2026 10:00:00 +0000", null)]
    [InlineData("", null)]
    [InlineData(null, null)]
    public void Of_a_received_field(string? value, string? id) => Assert.Equal(id, QueueId.OfReceived(value));

    [Theory]
    [InlineData("2.0.0 Ok: queued as 4XyZ123abcDz1B", "4XyZ123abcDz1B")]
    [InlineData("OK id=1rXyZ0-0001Ab-2C", "1rXyZ0-0001Ab-2C")]
    [InlineData("2.0.0 3AR91abc012345 Message accepted for delivery", null)]
    [InlineData("2.1.5 Ok", null)]
    public void Of_a_reply(string text, string? id) => Assert.Equal(id, QueueId.OfReply(text));

    [Fact]
    public void No_more_than_an_id() => Assert.Null(QueueId.OfReceived($"by x id {new string('a', 65)};"));
}
