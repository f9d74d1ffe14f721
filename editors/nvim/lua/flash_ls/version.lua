--- The server's version that this plugin was made with.
return "0.1.0"
