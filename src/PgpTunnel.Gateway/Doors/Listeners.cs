using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>Where mail comes in: the two SMTP servers and their TLS certificates.</summary>
/// <param name="arrays">Where large messages lie while they come in.</param>
internal sealed class Listeners(LargeArrays arrays, EventLog log) : IAsyncDisposable
{
    private volatile X509Certificate2? _outboundCertificate,
        _inboundCertificate;

    public SmtpServer? Outbound { get; private set; }
    public SmtpServer? Inbound { get; private set; }

    /// <summary>Takes the addresses; nobody is greeted yet.</summary>
    /// <exception cref="ConfigurationException">A certificate cannot be used.</exception>
    /// <exception cref="IOException">An address cannot be listened on.</exception>
    public void Open(GatewayConfiguration configuration, IMailFlow outboundFlow, IMailFlow inboundFlow)
    {
        LoadCertificates(configuration);
        if (configuration.Listen.Outbound is { } outbound)
        {
            var options = Options(configuration, configuration.Limits.MessageSize, () => _outboundCertificate) with
            {
                NormaliseNewlines = outbound.Normalise,
                ReserveDeclared = true,
                Trusted = address => outbound.Networks.Any(n => n.Contains(address)),
            };
            Outbound = SmtpServer.Bind(outbound.Address, options, outboundFlow);
        }
        if (configuration.Listen.Inbound is { } inbound)
        {
            var options = Options(configuration, configuration.Limits.OuterSize, () => _inboundCertificate);
            Inbound = SmtpServer.Bind(inbound.Address, options, inboundFlow);
        }
    }

    private SmtpServerOptions Options(
        GatewayConfiguration configuration,
        long size,
        Func<X509Certificate2?> certificate
    ) =>
        new()
        {
            Hostname = configuration.Hostname,
            MessageSize = size,
            Certificate = certificate,
            MaxConnections = configuration.Limits.Connections,
            MaxConnectionsPerAddress = configuration.Limits.ConnectionsPerAddress,
            // Half of the budget each: what strangers do at one listener must not stop our own mail at the other.
            Memory = new MemoryBudget(configuration.Limits.Memory / 2),
            Arrays = arrays,
            Log = (what, e) => log.Write(e is null ? "note" : "error", ("what", what), ("why", e?.ToString())),
        };

    /// <summary>Greets who has knocked, and who will.</summary>
    public void Serve()
    {
        Outbound?.Serve();
        Inbound?.Serve();
    }

    /// <summary>Looks whether the certificates can be used.</summary>
    /// <exception cref="ConfigurationException">One cannot.</exception>
    public static void Check(GatewayConfiguration configuration)
    {
        foreach (var files in new[] { configuration.Listen.Outbound?.Tls, configuration.Listen.Inbound?.Tls })
            Certificate(files, configuration)?.Dispose();
    }

    /// <exception cref="ConfigurationException">One cannot be used; those of before stay.</exception>
    public void LoadCertificates(GatewayConfiguration configuration) =>
        (_outboundCertificate, _inboundCertificate) = (
            Certificate(configuration.Listen.Outbound?.Tls, configuration),
            Certificate(configuration.Listen.Inbound?.Tls, configuration)
        );

    /// <summary>From PEM files, or made now and signed by itself: STARTTLS here is opportunistic, what crosses is sealed anyway.</summary>
    private static X509Certificate2? Certificate(TlsFiles? files, GatewayConfiguration configuration)
    {
        if (files is null)
            return null;
        try
        {
            if (files.Certificate is not null)
                return X509Certificate2.CreateFromPemFile(files.Certificate, files.Key);
            using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            var request = new CertificateRequest($"CN={configuration.Hostname}", key, HashAlgorithmName.SHA256);
            var names = new SubjectAlternativeNameBuilder();
            names.AddDnsName(configuration.Hostname);
            request.CertificateExtensions.Add(names.Build());
            return request.CreateSelfSigned(
                TimeProvider.System.GetUtcNow().AddDays(-1),
                TimeProvider.System.GetUtcNow().AddYears(10)
            );
        }
        catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException([$"listen tls: {files.Certificate}: {e.Message}"]);
        }
    }

    /// <summary>Takes no more mail; returns when what is in hand has ended, or the time is over.</summary>
    public Task StopAsync(TimeSpan grace) => Task.WhenAll(Servers.Select(s => s.StopAsync(grace)));

    private IEnumerable<SmtpServer> Servers => new[] { Outbound, Inbound }.OfType<SmtpServer>();

    public async ValueTask DisposeAsync()
    {
        foreach (var server in Servers)
            await server.DisposeAsync();
        _outboundCertificate?.Dispose();
        _inboundCertificate?.Dispose();
    }
}
