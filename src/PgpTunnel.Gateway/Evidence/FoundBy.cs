namespace PgpTunnel;

/// <summary>What a record can be found by, as its tags are made of it: one spelling for each thing.</summary>
internal static class FoundBy
{
    /// <summary>The id that a mail server gave a message in its queue, as its log has it.</summary>
    public static string QueueId(string id) => $"q:{id}";

    /// <param name="id">With angle brackets or without.</param>
    public static string MessageId(string id) => $"m:{Bare(id)}";

    /// <summary>Without the angle brackets that it may stand in.</summary>
    public static string Bare(string text) => text.Trim().TrimStart('<').TrimEnd('>');

    /// <summary>Nearly all servers compare local parts without case, and who searches does not know how it was written.</summary>
    public static string Address(string address) => $"a:{address.ToLowerInvariant()}";
}
