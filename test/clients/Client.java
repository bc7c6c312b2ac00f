// GET over HTTPS through the proxy given as host and port; prints the status and the body.
import java.net.InetSocketAddress;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

public class Client {
  public static void main(String[] args) throws Exception {
    var proxy = ProxySelector.of(new InetSocketAddress(args[1], Integer.parseInt(args[2])));
    var request = HttpRequest.newBuilder(URI.create(args[0])).build();
    var answer = HttpClient.newBuilder().proxy(proxy).build().send(request, BodyHandlers.ofString());
    System.out.println(answer.statusCode() + " " + answer.body());
  }
}
