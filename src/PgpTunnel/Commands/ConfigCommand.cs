using System.CommandLine;

namespace PgpTunnel.Commands;

/// <summary><c>config check</c>: everything that <c>run</c> would refuse, found before.</summary>
internal static class ConfigCommand
{
    public static Command Create() => Cli.Group("config", "The configuration file.",
        Cli.Command("check", "Validates the configuration, the keys and the files it names; every mistake is shown.", "pgptunnel config check --config /etc/pgptunnel/pgptunnel.json", (parse, _) => Task.FromResult(Check(parse))));

    private static int Check(ParseResult parse)
    {
        var (file, mistakes) = ("", new List<string>());
        try
        {
            file = ConfigurationReader.Find(parse.GetValue(Cli.Config));
            var configuration = ConfigurationReader.Read(file);
            Collect(() =>
            {
                foreach (var key in KeyRing.Load(configuration).Keys.Where(k => !k.IsFor(configuration.Gateway)))
                    mistakes.Add($"gateway: the key {key.Fingerprint} is for {key.UserId}, so peers would refuse it for {configuration.Gateway}");
            });
            if (configuration.TrustAnchorsFile is { } anchors)
                Collect(() => Trust.Anchors(anchors));
            Collect(() => KeyRing.Passphrase(configuration));
            if (Path.GetDirectoryName(configuration.SpoolFile) is { } folder && !Directory.Exists(folder))
                mistakes.Add($"spool: the folder {folder} does not exist");
            if (Trust.Resolvers(configuration).Count == 0)
                mistakes.Add("dns.resolvers: none given and the system names none; give one such as [\"127.0.0.1:53\"]");
        }
        catch (ConfigurationException e)
        {
            mistakes.AddRange(e.Mistakes);
        }
        return mistakes.Count == 0
            ? parse.Report(new { ok = true, file, mistakes }, $"{file} is valid")
            : parse.GetValue(Cli.Json) ? parse.Report(new { ok = false, file, mistakes }, "", Exit.Configuration) : throw new ConfigurationException(mistakes);

        void Collect(Action check)
        {
            try
            {
                check();
            }
            catch (ConfigurationException e)
            {
                mistakes.AddRange(e.Mistakes);
            }
        }
    }
}
