using System.Text;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

/// <summary>Two companies, and A's parcels for B made by hand, so that they can be wrong in one way each.</summary>
public abstract class InboundSetting : IAsyncLifetime
{
    private protected const string Message = "From: alice@a.example\r\nSubject: s\r\n\r\nbody\r\n";

    private protected const string Uniform = "550 5.7.5 the parcel does not open and verify";

    private protected Pair _pair = null!;

    public async ValueTask InitializeAsync() => _pair = await Pair.CreateAsync();

    public ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return _pair.DisposeAsync();
    }

    private protected DateTimeOffset Now => _pair.World.Time.GetUtcNow();

    private protected InnerHeader Header(string rcpt = "<bob@b.example>") => _pair.Header(rcpt, Message.Length);

    private protected PeerKey PeerB(GatewayKey? key = null) =>
        Certificate.Read((key ?? _pair.B.Key).ExportCertificate()).Judge(_pair.B.Configuration.Gateway, Now).Key!;

    private protected byte[] Seal(byte[] body, GatewayKey? signer = null, GatewayKey? recipient = null) =>
        MessageSealer.Seal([body], signer ?? _pair.A.Key, PeerB(recipient), Now).Octets.ToArray();

    private protected byte[] Seal(InnerHeader header, GatewayKey? signer = null) =>
        Seal(Bodies.Write(header, [Encoding.ASCII.GetBytes(Message)]), signer);

    private protected byte[] Outer(byte[] octets, DateTimeOffset? date = null) =>
        [
            .. OuterMessage
                .Build("pgptunnel@pgptunnel.a.example", "pgptunnel@pgptunnel.b.example", "t", date ?? Now, octets)
                .SelectMany(p => p.ToArray()),
        ];

    private protected async Task<string> DeliverAsync(
        byte[] outer,
        string from = "<pgptunnel+0@pgptunnel.a.example>",
        string to = "<pgptunnel@pgptunnel.b.example>"
    ) => (await Company.SendAsync(_pair.B.Gateway.InboundServer!.EndPoint, from, [to], outer))[0].ToString();

    private protected Task<string> DeliverAsync(InnerHeader header) => DeliverAsync(Outer(Seal(header)));
}
