namespace PgpTunnel.Tests;

/// <summary>An address is found where it is one, and not as a part of another.</summary>
public sealed class PersonSearchTests
{
    [Theory]
    [InlineData("bob@b.example", true)]
    [InlineData("Bob <BOB@B.Example>, x", true)]
    [InlineData("notbob@b.example, bob@b.example", true)]
    [InlineData("to <bob@b.example>: 550 no", true)]
    [InlineData("write to bob@b.example.", true)]
    [InlineData("550 5.1.1 'bob@b.example' unknown", true)]
    [InlineData("550 5.1.1 `bob@b.example'", true)]
    [InlineData("user=bob@b.example", true)]
    [InlineData("{bob@b.example}", true)]
    [InlineData("/bob@b.example/", true)]
    [InlineData("notbob@b.example", false)]
    [InlineData("not.bob@b.example", false)]
    [InlineData("not+bob@b.example", false)]
    [InlineData("öbob@b.example", false)]
    [InlineData("bob@b.example.com", false)]
    [InlineData("bob@b.example-x.com", false)]
    [InlineData("bob@b.examples", false)]
    [InlineData("", false)]
    public void Only_as_a_whole(string text, bool isNamed) =>
        Assert.Equal(isNamed, PersonSearch.Names(text, "bob@b.example"));
}
