using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>Those who are to read the private parts of what is on record, by the certificates that the configuration names.</summary>
internal static class Auditors
{
    /// <exception cref="ConfigurationException">One cannot be read or used.</exception>
    public static IReadOnlyList<ReaderKey> Load(GatewayConfiguration configuration, DateTimeOffset now)
    {
        var (readers, mistakes) = (new List<ReaderKey>(), new List<string>());
        foreach (var file in configuration.Evidence.Auditors)
        {
            try
            {
                var (key, refusal) = Certificate.ReadFile(File.ReadAllBytes(file)).JudgeReader(now);
                if (key is not null)
                    readers.Add(key);
                else
                    mistakes.Add($"evidence.auditors: {file}: {refusal}");
            }
            catch (UnauthorizedAccessException e)
            {
                mistakes.Add($"evidence.auditors: {e.Message}{OwnFiles.WhyNot(file)}");
            }
            catch (Exception e) when (e is IOException or OpenPgpException)
            {
                mistakes.Add($"evidence.auditors: {file}: {e.Message}");
            }
        }
        return mistakes.Count == 0 ? readers : throw new ConfigurationException(mistakes);
    }
}
