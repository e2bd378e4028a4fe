namespace PgpTunnel;

/// <summary>The log: one line an event.</summary>
internal sealed class EventLines(TextWriter output, bool json) : EventListener
{
    private readonly Lock _lock = new();

    protected override void Take(Event happened)
    {
        var line = json ? happened.ToJson() : happened.ToString();
        lock (_lock)
        {
            try
            {
                output.WriteLine(line);
                output.Flush();
            }
            catch (IOException)
            {
                // A log on a full disk must not stop the mail.
            }
        }
    }
}
