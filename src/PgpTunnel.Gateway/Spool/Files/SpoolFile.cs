using Microsoft.Data.Sqlite;

namespace PgpTunnel;

/// <summary>The spool as a file: whether it is there, and why it cannot be opened.</summary>
internal static class SpoolFile
{
    /// <summary>Whether there is one.</summary>
    /// <exception cref="SpoolException">We may not look.</exception>
    public static bool IsThere(string file)
    {
        try
        {
            return OwnFiles.IsThere(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unusable(file, e);
        }
    }

    public static SpoolException Unusable(string file, Exception e) =>
        new(
            $"spool {file}: {e.Message.TrimEnd('.')}"
                + (
                    e is UnauthorizedAccessException or SqliteException { SqliteErrorCode: 8 or 14 }
                        ? OwnFiles.WhyNot(file)
                        : ""
                )
                + ". It must be a writable file on a local disk; if it is damaged, 'pgptunnel queue check' says more, "
                + "and 'queue export DIR' writes out what can be read",
            false,
            e
        );
}
